"""A bare Celery app, as its own documentation begins: what the queue is compared with.

    BROKER=redis://... python -m celery --app benchmarks.jobs_bare worker

Nothing here is tuned but JSON, which Celery has by default, and nothing is kept from being lost.
"""

import os
from typing import Any

from celery import Celery

_URL = os.environ.get("BROKER", "redis://127.0.0.1:6379/0")

app = Celery("bare", broker=_URL, backend=_URL, set_as_current=False)
app.conf.broker_connection_retry_on_startup = True
# Its queue beside Slipway's on the same Redis.
app.conf.task_default_queue = "bare"


@app.task(name="bare.nothing")  # type: ignore[untyped-decorator]
def nothing(payload: dict[str, Any]) -> dict[str, Any]:
    """Answer as the model that does nothing does."""
    return {"prediction": payload["features"][0]}
