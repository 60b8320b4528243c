"""What queues and tasks are called: doors that only submit know no more of them."""

from services.ledger.database.job_rows import PREDICT as PREDICT

# Queues, each with workers of its own.
INTERACTIVE, BATCH, TRAINING, UPKEEP = "interactive", "batch", "training", "upkeep"
QUEUES = (INTERACTIVE, BATCH, TRAINING, UPKEEP)

# The one task of Celery that does jobs; its message is a wake-up, all else is in the database.
RUN = "slipway.run"
# In front of the names of tasks that do no job: clean-up, health checks, ...
UPKEEP_PREFIX = "slipway.upkeep."

# What a job is about (the column `task`).
PREDICT_BATCH, TRAIN, SWEEP = "predict_batch", "train", "sweep"

# In Redis: a stream of events for each job, and the channel on which every change is told.
EVENTS = "slipway:job:"
CHANNEL = "slipway:jobs"
