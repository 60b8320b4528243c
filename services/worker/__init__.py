"""A door: the Celery app, its tasks and the beat."""
