"""Which model `POST /invocations` asks: the setting, the usual one, or the only one."""

import pytest

from services.families.base import Family
from tests.conftest import settings_for_tests
from tests.gateway.conftest import MakeServer
from tests.support.foreign import SIGNATURES, EchoFamily, echoes
from tests.support.local import LocalServer, serving

BODY = {"inputs": ["a"]}


def asked(server: LocalServer) -> str | None:
    """Return the name of the model that answered, or None for an error that teaches."""
    answer = server.client.post("/invocations", json=BODY)
    if answer.status_code == 404:
        assert "/models/{name}/invocations" in answer.json()["message"]
        assert "DEFAULT_MODEL" in answer.json()["message"]
        return None
    assert answer.status_code == 200, answer.text
    counts = server.client.get("/metrics").text.splitlines()
    (line,) = [line for line in counts if line.startswith("predictions_total{")]
    return line.partition('model="')[2].partition('"')[0]


def usual() -> dict[str, Family]:
    return {"ml_classifier": EchoFamily("ml_classifier", SIGNATURES["text"])}


def slow(*values: object) -> object:
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("families", "setting", "name"),
    [
        (echoes("text", "plain"), None, None),
        # A model that takes pictures is never meant.
        slow(echoes("text", "colours"), None, "text"),
        slow(echoes("text", "plain"), "plain", "plain"),
        slow(echoes("text", "plain") | usual(), None, "ml_classifier"),
        slow(echoes("text", "plain") | usual(), "text", "text"),
        # Never another than the one that is named.
        slow(echoes("text"), "gone", None),
    ],
)
def test_which_one_answers(
    make_server: MakeServer, families: dict[str, Family], setting: str | None, name: str | None
) -> None:
    server = make_server(families, default_model=setting)
    if setting == "gone":
        assert server.client.post("/invocations", json=BODY).status_code == 404
    else:
        assert asked(server) == name


def test_nothing_is_said_of_models_that_are_still_coming(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    data = tmp_path_factory.mktemp("data")
    settings = settings_for_tests(data_dir=data, mlflow_tracking_uri="http://127.0.0.1:9")
    with serving(settings, echoes("colours"), ready=False) as server:
        answer = server.client.post("/invocations", json=BODY)
        assert answer.status_code == 503
        assert answer.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
        assert answer.headers["Retry-After"]
        assert server.client.get("/v1/models/text").status_code == 503
