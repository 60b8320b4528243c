"""The other commands, and what every command does about errors."""

import inspect
import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from services import __version__
from services.cli.run import banner
from services.core.errors import ModelUnavailableError, SlipwayError
from services.core.settings import Settings, get_settings, load_settings
from tests.cli.conftest import Command
from tests.support.patience import PATIENCE

ROOT = Path(__file__).parents[2]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """Put something in the gateway's place that only notes what it is started with."""
    seen: list[Settings] = []
    server = types.ModuleType("services.gateway.server")
    server.serve = seen.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "services.gateway.server", server)
    return seen


@pytest.mark.parametrize("arguments", [["--help"], ["models", "pull", "--help"], ["version"]])
def test_nothing_heavy_is_imported_for_help(arguments: list[str]) -> None:
    code = (
        "import atexit, sys\n"
        "heavy = ('torch', 'cv2', 'fastapi', 'numpy')\n"
        "atexit.register(lambda: print('HEAVY', [m for m in heavy if m in sys.modules]))\n"
        "from services.cli.main import main\n"
        f"main({arguments!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "HEAVY []" in done.stdout


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "services.cli", "--version"],
        capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, __version__)


def test_version_names_what_a_bug_report_needs(slipway: Command) -> None:
    done = slipway("version")
    assert f"slipway {__version__}" in done.out
    assert re.search(r"^torch \d", done.out, re.MULTILINE)


def test_config_shows_value_and_origin(slipway: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "8123")
    Path(".env").write_text("MAX_QUEUE=7\n")
    done = slipway("config")
    assert re.search(r"^PORT +8123 +environment", done.out, re.MULTILINE)
    assert re.search(r"^MAX_QUEUE +7 +\.env", done.out, re.MULTILINE)
    assert re.search(r"^HOST +\S+ +default", done.out, re.MULTILINE)


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_config_hides_secrets(
    slipway: Command, monkeypatch: pytest.MonkeyPatch, form: list[str]
) -> None:
    monkeypatch.setenv("SENTRY_DSN", "https://hush@example.org/1")
    done = slipway("config", *form)
    assert "hush" not in done.out + done.err
    assert "********" in done.out


def test_config_for_programs_names_every_setting(slipway: Command) -> None:
    values = json.loads(slipway("config", "--json").out)
    assert set(values) == {name.upper() for name in Settings.model_fields}


def test_a_setting_that_is_not_accepted_is_named(
    slipway: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "many")
    done = slipway("config")
    assert done.code == 1
    assert done.err.startswith("error: ")
    assert "PORT" in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_run_passes_the_options_on(slipway: Command, served: list[Settings]) -> None:
    done = slipway("run", "--gateway-only", "--host", "127.0.0.2", "--port", "8123")
    assert done.code == 0
    assert [(s.host, s.port) for s in served] == [("127.0.0.2", 8123)]
    assert "http://127.0.0.2:8123/docs" in done.err
    assert done.out == "", "standard output belongs to the logs"


def test_run_takes_the_environment(
    slipway: Command, served: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "8124")
    slipway("run", "--gateway-only")
    assert served[0].port == 8124


def test_run_is_one_process_where_somebody_else_ships(
    slipway: Command, served: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("LEDGER_SHIPPER", "off")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    # Somebody else's Redis and workers; then no jobs at all.
    assert slipway("run", "--no-workers").code == 0
    get_settings.cache_clear()
    monkeypatch.delenv("REDIS_URL")
    monkeypatch.setenv("JOBS", "false")
    assert slipway("run").code == 0
    assert len(served) == 2


@pytest.mark.parametrize(
    ("host", "address"),
    [("0.0.0.0", "http://127.0.0.1:8000"), ("::1", "http://[::1]:8000")],
)
def test_the_address_printed_can_be_opened(host: str, address: str) -> None:
    lines = banner(load_settings(host=host, port=8000))
    assert f"Slipway is starting on {address}" in lines


def test_the_curl_line_names_the_sample_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    lines = "\n".join(banner(load_settings(host="127.0.0.1", port=8000)))
    assert "curl -sS -F file=@docs/samples/photo.jpg http://127.0.0.1:8000/process-image" in lines


def test_away_from_the_checkout_the_sample_photo_is_still_found(tmp_path: Path) -> None:
    lines = "\n".join(banner(load_settings(host="127.0.0.1", port=8000)))
    assert str(ROOT / "docs" / "samples" / "photo.jpg") in lines


def _serve_raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    server = types.ModuleType("services.gateway.server")

    def serve(_: Settings) -> None:
        raise error

    server.serve = serve  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "services.gateway.server", server)


def test_a_domain_error_is_one_line(slipway: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    error = ModelUnavailableError("It is not there.", where="MODEL_PATH", expected="a file")
    _serve_raising(monkeypatch, error)
    done = slipway("run", "--gateway-only")
    assert done.code == 1
    assert "error: It is not there. (at MODEL_PATH; expected a file)" in done.err
    assert "Traceback" not in done.err


def test_a_bug_is_one_line_too_unless_debug(
    slipway: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    _serve_raising(monkeypatch, ZeroDivisionError("by\nzero"))
    done = slipway("run", "--gateway-only")
    assert done.code == 1
    assert "error: ZeroDivisionError: by zero (DEBUG=1 shows the traceback)" in done.err
    assert "Traceback" not in done.err
    monkeypatch.setenv("DEBUG", "true")
    assert "Traceback" in slipway("run", "--gateway-only").err


def test_ctrl_c_is_no_failure_of_the_program(
    slipway: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    _serve_raising(monkeypatch, KeyboardInterrupt())
    done = slipway("run", "--gateway-only")
    assert done.code == 130
    assert "Traceback" not in done.err


def test_every_domain_error_has_a_message_for_people() -> None:
    from services.cli.console import describe

    assert describe(SlipwayError("a\nb", where="c")) == "a b (at c)"


def test_make_lists_its_commands() -> None:
    done = subprocess.run(
        ["make"], capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE,
        env={**os.environ, "MAKEFLAGS": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert {"run", "test", "setup", "lint"} <= set(re.findall(r"make (\w+)", done.stdout))


def test_train_hands_its_options_over(
    slipway: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    loop = types.ModuleType("services.training.segmenter.train")

    def run(options: Any, report: Any) -> Path:
        seen.append(options)
        report(types.SimpleNamespace(seen=4, scenes=8, losses={"box": 0.5}, rate=3.0))
        return tmp_path / "model.pth"

    loop.run = run  # type: ignore[attr-defined]
    loop.TrainOptions = types.SimpleNamespace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, loop.__name__, loop)
    done = slipway("train", "segmenter", "--scenes", "8", "--lr", "0.1", "--no-resume")
    assert done.code == 0, done.err
    assert (seen[0].scenes, seen[0].learning_rate, seen[0].resume) == (8, 0.1, False)
    assert seen[0].out == tmp_path / "data" / "training" / "segmenter"
    assert "4/8 scenes, 3.0 a second, box 0.500" in done.err
    assert done.out == f"MODEL_PATH={tmp_path / 'model.pth'}\n"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "three figures\n"),
        (["--json"], '{\n  "AP": 0.5\n}\n'),
        (["--compare"], "exact bf16: AP 0.500, AP50 0.750\nexact fp16: no\n"),
    ],
)
def test_evaluate_hands_its_options_over(
    slipway: Command, monkeypatch: pytest.MonkeyPatch, options: list[str], expected: str
) -> None:
    seen: list[Any] = []
    report = types.ModuleType("services.training.segmenter.report")

    def evaluate(settings: Settings, **rest: Any) -> dict[str, Any]:
        seen.append((settings, rest))
        return {"AP": 0.5}

    def compare(settings: Settings, **rest: Any) -> dict[str, Any]:
        evaluate(settings, **rest)
        return {"exact bf16": {"AP": 0.5, "AP50": 0.75}, "exact fp16": {"unavailable": "no"}}

    report.evaluate = evaluate  # type: ignore[attr-defined]
    report.compare = compare  # type: ignore[attr-defined]
    report.lines = lambda _: ["three figures"]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, report.__name__, report)
    import services.training.segmenter

    monkeypatch.setattr(services.training.segmenter, "report", report, raising=False)
    done = slipway(
        "evaluate",
        "segmenter",
        "--scenes",
        "5",
        "--preset",
        "fast",
        "--precision",
        "bf16",
        *options,
    )
    assert done.code == 0, done.err
    assert done.out == expected
    settings, rest = seen[0]
    assert (settings.cutler_preset, settings.cutler_precision) == ("fast", "bf16")
    assert rest["scenes"] == 5


def test_evaluate_refuses_a_preset_that_is_not_one(slipway: Command) -> None:
    done = slipway("evaluate", "segmenter", "--preset", "magic")
    assert done.code == 1
    assert "CUTLER_PRESET" in done.err


def test_the_options_of_the_real_training_and_report_are_the_ones_used() -> None:
    """The stand-ins above have the real signatures."""
    from services.training.segmenter import report, train

    wanted = {"out", "scenes", "size", "batch", "learning_rate", "seed", "threads", "workers",
              "bf16", "resume", "minutes"}  # fmt: skip
    assert wanted <= set(inspect.signature(train.TrainOptions).parameters)
    assert {"scenes", "overlays", "note"} <= set(inspect.signature(report.evaluate).parameters)
    assert {"scenes", "note"} <= set(inspect.signature(report.compare).parameters)
