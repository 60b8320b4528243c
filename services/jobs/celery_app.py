"""The Celery app that submits and does jobs: its settings, each with its reason.

A message is a wake-up and nothing more. What is to be done, by whom, how often it was tried and
what came of it stands in the database; so no message that is lost, or comes twice, changes much.
"""

from typing import Any

from celery import Celery
from kombu.entity import Queue

from services.core.errors import ConfigurationError
from services.core.settings import Settings
from services.jobs.names import QUEUES

# Seconds. Longer than any job: a message that is still being worked on must not come back.
_MARGIN = 600
_CONNECT, _SOCKET, _HEALTH = 2, 10, 10
# What running work gets to end when its worker is told to stop.
SOFT_SHUTDOWN = 25.0


def visibility_timeout(settings: Settings) -> int:
    """Return the seconds after which a message that nobody acknowledged comes back."""
    return round(max(settings.job_timeout, settings.training_timeout)) + _MARGIN


def make_app(settings: Settings) -> Celery:
    """Return an app on the broker that REDIS_URL names. It connects with its first message.

    Raises:
        ConfigurationError: REDIS_URL is empty, or no address of Redis.
    """
    url = settings.redis_url
    if url is None or not url.startswith(("redis://", "rediss://", "unix://")):
        raise ConfigurationError(
            "Jobs need a Redis.",
            where="REDIS_URL",
            expected="redis://:password@host:6379/0",
        )
    # kombu's word for a socket.
    broker = url.replace("unix://", "redis+socket://", 1)
    app = Celery("slipway", broker=broker, set_as_current=False)
    app.conf.update(_messages(), **_workers(settings), **_broker(settings))
    return app


def _messages() -> dict[str, Any]:
    return {
        # Nobody who can write into Redis runs code here by it.
        "task_serializer": "json",
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        # Results are in the database, in one transaction with the job's end.
        "result_backend": None,
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        # A queue for each kind of work, with workers of its own: no priorities, under which a
        # batch that was begun would still stand in the way.
        "task_queues": [Queue(name, routing_key=name) for name in QUEUES],
        "task_default_queue": QUEUES[0],
        "task_create_missing_queues": False,
        # The reconciler publishes again; Celery's own retries would hold up whoever submits.
        "task_publish_retry": False,
        "timezone": "UTC",
        "enable_utc": True,
        # Otherwise a message carries its arguments a second time, as text.
        "task_protocol": 2,
        "task_send_sent_event": False,
    }


def _workers(settings: Settings) -> dict[str, Any]:
    return {
        # Acknowledged when done: a worker that is told to stop gives back what it has not begun.
        "task_acks_late": True,
        # A child that died leaves its lease to the reconciler, which counts attempts; Celery
        # would run a poison job again at once and without end.
        "task_reject_on_worker_lost": False,
        "task_acks_on_failure_or_timeout": True,
        # One message for each process: what waits stays where every worker can have it.
        "worker_prefetch_multiplier": 1,
        # SIGTERM: running jobs get this long; what cannot end by then is handed back.
        "worker_soft_shutdown_timeout": SOFT_SHUTDOWN,
        "worker_enable_soft_shutdown_on_idle": True,
        # Our own, JSON, are configured before.
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # Redis may be restarted at any time.
        "broker_connection_retry": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_connection_timeout": _CONNECT,
    }


def _broker(settings: Settings) -> dict[str, Any]:
    seconds = visibility_timeout(settings)
    return {
        # Where it is set: for the broker, for results (of which there are none), and by itself.
        "visibility_timeout": seconds,
        "result_backend_transport_options": {"visibility_timeout": seconds},
        "broker_transport_options": {
            "visibility_timeout": seconds,
            # A Redis that vanished without a word is noticed after ten seconds.
            "socket_timeout": _SOCKET,
            "socket_connect_timeout": _CONNECT,
            "socket_keepalive": True,
            "health_check_interval": _HEALTH,
            # How often, at most, a worker looks for messages that have to come back.
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
        },
        "broker_heartbeat": 0,
        "broker_pool_limit": 4,
    }
