"""Messages, the app that they are of, and how little a door loads before it needs them."""

import subprocess
import sys
from pathlib import Path

import pytest

from services.core.errors import ConfigurationError
from services.core.settings import Settings
from services.jobs.celery_app import make_app
from services.jobs.names import INTERACTIVE, QUEUES, RUN
from tests.conftest import MakeSettings
from tests.jobs.conftest import MakeDesk
from tests.jobs.played import messages, soon, work
from tests.support.patience import PATIENCE
from tests.support.redis_server import RedisServer


@pytest.mark.anyio
async def test_a_message_is_what_celery_would_write(
    make_desk: MakeDesk, redis_server: RedisServer, queued: Settings
) -> None:
    desk = make_desk()
    job, _ = await desk.submit(work())
    await soon(lambda: len(messages(redis_server)) == 1)
    make_app(queued).send_task(
        RUN, kwargs={"id": job.id, "queue": INTERACTIVE}, queue=INTERACTIVE,
        ignore_result=True, argsrepr="()", kwargsrepr=job.id,
    )  # fmt: skip
    mine, celerys = messages(redis_server)
    assert mine["headers"]["id"] != celerys["headers"]["id"]
    assert mine["properties"]["delivery_tag"] != celerys["properties"]["delivery_tag"]
    for message in (mine, celerys):
        id = message["headers"].pop("id")
        assert message["headers"].pop("root_id") == message["properties"]["correlation_id"] == id
        for name in ("correlation_id", "delivery_tag", "reply_to"):
            del message["properties"][name]
    assert mine == celerys


def test_what_the_app_is_told(make_settings: MakeSettings) -> None:
    settings = make_settings(redis_url="redis://127.0.0.1:1/0", training_timeout=7200.0)
    conf = make_app(settings).conf
    longest = max(settings.job_timeout, settings.training_timeout)
    places = (
        conf.visibility_timeout,
        conf.broker_transport_options["visibility_timeout"],
        conf.result_backend_transport_options["visibility_timeout"],
    )
    assert min(places) == max(places) > longest
    assert conf.accept_content == ["json"] and conf.task_serializer == "json"
    assert (conf.task_acks_late, conf.worker_prefetch_multiplier) == (True, 1)
    assert conf.task_reject_on_worker_lost is False and conf.task_publish_retry is False
    assert {queue.name for queue in conf.task_queues} == set(QUEUES)
    options = conf.broker_transport_options
    assert (options["socket_timeout"], options["health_check_interval"]) == (10, 10)
    assert (options["unacked_restore_interval"], options["unacked_restore_throttle"]) == (5, 1)
    assert conf.worker_soft_shutdown_timeout == 25


@pytest.mark.parametrize("url", [None, "amqp://here", "memory://"])
def test_no_queue_without_redis(make_settings: MakeSettings, url: str | None) -> None:
    settings = make_settings().model_copy(update={"redis_url": url})
    with pytest.raises(ConfigurationError) as caught:
        make_app(settings)
    assert caught.value.where == "REDIS_URL"


def test_a_door_loads_no_library_before_somebody_asks(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path;"
        "from services.core.settings import load_settings;"
        "from services.jobs.desk import JobDesk;"
        "s = load_settings(data_dir=Path(sys.argv[1]), redis_url='redis://127.0.0.1:1/0');"
        "JobDesk(s).start();"
        "heavy = {'sqlalchemy', 'redis', 'celery', 'kombu', 'fsspec', 'torch'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True, text=True, check=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
    assert list(tmp_path.iterdir()) == []
