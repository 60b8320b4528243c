"""Settings: read from the environment, complete in `.env.example`, clear when wrong."""

import re
from pathlib import Path

import pytest

from services.core.errors import ConfigurationError
from services.core.settings import Settings, get_settings, load_settings

EXAMPLE = Path(__file__).parents[2] / ".env.example"
LINE = re.compile(r"^([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)


@pytest.fixture(autouse=True)
def _no_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_setting_is_in_the_example_and_no_other() -> None:
    listed = [name for name, _ in LINE.findall(EXAMPLE.read_text())]
    assert len(listed) == len(set(listed))
    assert set(listed) == {name.upper() for name in Settings.model_fields}


def test_the_example_shows_the_defaults(tmp_path: Path) -> None:
    assert Settings(_env_file=EXAMPLE) == Settings(_env_file=None)
    for name, value in LINE.findall(EXAMPLE.read_text()):
        default = Settings.model_fields[name.lower()].get_default()
        assert bool(value) == (default not in (None, (), {})), f"{name} hides its default"


def test_every_setting_in_the_example_has_a_comment_before_it() -> None:
    block: list[str] = []
    for line in EXAMPLE.read_text().splitlines():
        if not line.strip() or line.startswith("# ---"):
            block = []
        elif line.startswith("#"):
            block.append(line)
        elif line.partition("=")[0] not in {"PORT", "CONFIG_PATH", "MAX_IMAGE_SIDE"}:
            assert block, f"{line} has no comment"
            block = []


def test_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("PORT=9000\nMAX_QUEUE=3\n")
    monkeypatch.setenv("PORT", "9001")
    settings = load_settings()
    assert (settings.port, settings.max_queue) == (9001, 3)


def test_empty_means_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "MODEL_PATH", "SENTRY_DSN", "LOG_LEVEL", "CORS_ORIGINS"):
        monkeypatch.setenv(name, "")
    assert load_settings() == Settings(_env_file=None)
    assert load_settings().model_path is None


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        (None, ("model", "version", "stage", "status")),
        ("", ("model", "version", "stage", "status")),
        ("none", ()),
        (" Model , status,", ("model", "status")),
    ],
)
def test_the_tags_of_traces(
    value: str | None, tags: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is not None:
        monkeypatch.setenv("LEDGER_TRACE_TAGS", value)
    assert load_settings().ledger_trace_tags == tags


def test_an_empty_variable_lets_the_file_speak(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("PORT=9000\nMAX_QUEUE=\n")
    monkeypatch.setenv("PORT", "")
    settings = load_settings()
    assert (settings.port, settings.max_queue) == (9000, 16)


def test_a_tag_that_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER_TRACE_TAGS", "model,colour,shape")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert caught.value.where == "LEDGER_TRACE_TAGS"
    assert caught.value.expected == (
        "LEDGER_TRACE_TAGS: Input should be 'model', 'version', 'stage' or 'status'"
    )


def test_how_jobs_are_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "REDIS_URL": "rediss://:secret@host:6379/0", "CACHE_REDIS_URL": "unix:///run/cache.sock",
        "JOB_BLOBS": "s3://bucket/jobs", "WORKER_MODELS": "cutler, digits",
        "WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    }  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.worker_models == ("cutler", "digits")
    assert [settings.job_blobs, settings.webhook_secret] == list(values.values())[2::2]
    shown = repr(settings)
    assert not any(values[name] in shown for name in values if name != "WORKER_MODELS")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "70000"),
        ("MAX_FILE_SIZE", "10MB"),
        ("MAX_FILE_SIZE", "0"),
        ("CUTLER_THRESHOLD", "1.5"),
        ("CUTLER_THRESHOLD", "nan"),
        ("CUTLER_DEVICE", "tpu"),
        ("CUTLER_PRECISION", "int8"),
        ("REQUEST_TIMEOUT", "inf"),
        ("ENVIRONMENT", "staging"),
        ("CORS_ORIGINS", "*"),
        ("LOG_LEVEL", "LOUD"),
        ("DEBUG", "perhaps"),
        ("LEDGER_TRACE_TAGS", "model,colour"),
        ("REDIS_URL", "localhost:6379"),
        ("CACHE_REDIS_URL", "http://localhost:6379"),
        ("JOB_TIMEOUT", "15"),
        ("JOB_BLOBS", "https://example.org/blobs"),
        ("JOB_BLOBS", "s3://"),
        ("WEBHOOK_SECRET", "whsec_c2hvcnQ="),
        ("WEBHOOK_SECRET", "whsec_not base64 at all, but long enough"),
        ("WEBHOOK_SECRET", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqrTwj"),
    ],
)
def test_a_bad_value_names_its_variable_and_not_itself(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert caught.value.where == name
    assert name in caught.value.message
    assert f"{value!r}" not in f"{caught.value.message} {caught.value.expected}"


def test_all_bad_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("MAX_QUEUE", "-1")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert caught.value.message == "The value of PORT, MAX_QUEUE is not accepted."


def test_an_unreadable_file_is_a_configuration_error() -> None:
    Path(".env").write_bytes(b"PORT=\xff\xfe")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert caught.value.where == ".env"


def test_values_are_taken_leniently_where_that_is_harmless(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOG_LEVEL", "debug")
    monkeypatch.setenv("ENVIRONMENT", "Production")
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example, http://localhost:4200")
    settings = load_settings()
    assert settings.log_level == "DEBUG"
    assert settings.environment == "production"
    assert settings.cors_origins == ("https://a.example", "http://localhost:4200")


def test_read_once() -> None:
    assert get_settings() is get_settings()


def test_the_sentry_address_is_not_printed() -> None:
    settings = Settings(_env_file=None, sentry_dsn="https://secret@example.org/1")
    assert "secret" not in repr(settings)


def test_debug_raises_the_log_level() -> None:
    assert Settings(_env_file=None, debug=True).effective_log_level == "DEBUG"
    assert Settings(_env_file=None).effective_log_level == "INFO"


def test_threads_are_the_cores_unless_named() -> None:
    assert Settings(_env_file=None, num_threads=3).threads == 3
    assert Settings(_env_file=None).threads >= 1
