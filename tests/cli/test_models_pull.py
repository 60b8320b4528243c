"""`slipway models pull`, from its options to the files it leaves."""

import hashlib
import json
import re
from collections import deque
from pathlib import Path

import pytest
import yaml

from services.cli import models_pull
from services.cli.weights.catalogue import CUTLER
from tests.cli.conftest import Command
from tests.cli.file_server import FileServer

BODY = b"PK\x03\x04" + bytes(range(256)) * 2000
SUM = hashlib.sha256(BODY).hexdigest()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models_pull, "FIRST_WAIT", 0.01)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "data" / "models" / "cutler"


def test_weights_their_record_and_their_configuration_are_installed(
    slipway: Command, home: Path
) -> None:
    with FileServer(BODY) as server:
        done = slipway("models", "pull", "cutler", "--accept-license", "--url", server.url)
        source = server.url
    assert done.code == 0, done.err
    weights = home / "cutler_cascade_final.pth"
    assert weights.read_bytes() == BODY
    note = json.loads((home / "cutler_cascade_final.pth.json").read_text())
    assert note["size"] == len(BODY)
    assert note["sha256"] == SUM
    assert note["source"] == source
    assert note["licence"] == "CC BY-NC-SA 4.0"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", note["fetched"])
    config = home / "cutler_cascade_r50_fpn.yaml"
    assert done.out.splitlines() == [f"MODEL_PATH={weights}", f"CONFIG_PATH={config}"]
    assert sorted(path.name for path in home.iterdir()) == sorted(
        [weights.name, config.name, "cutler_cascade_final.pth.json"]
    )


def test_the_licence_is_shown(slipway: Command) -> None:
    with FileServer(BODY) as server:
        done = slipway("models", "pull", "cutler", "--accept-license", "--url", server.url)
    assert "CC BY-NC-SA 4.0" in done.err
    assert "https://creativecommons.org/licenses/by-nc-sa/4.0/" in done.err
    assert "non-commercial" in done.err


def test_nobody_to_ask_for_the_licence(slipway: Command, home: Path) -> None:
    with FileServer(BODY) as server:
        done = slipway("models", "pull", "cutler", "--url", server.url)
        assert server.seen == []
    assert done.code == 2
    assert "--accept-license" in done.err
    assert not home.exists()


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 2), ("\n", 2)])
def test_the_licence_is_asked_for(
    slipway: Command, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    from io import StringIO

    keyboard = StringIO(answer)
    monkeypatch.setattr(keyboard, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", keyboard)
    with FileServer(BODY) as server:
        done = slipway("models", "pull", "cutler", "--url", server.url)
    assert done.code == code
    assert "Do you accept it?" in done.err


def test_a_second_pull_only_verifies(slipway: Command) -> None:
    with FileServer(BODY) as server:
        first = slipway("models", "pull", "cutler", "--accept-license", "--url", server.url)
        second = slipway("models", "pull", "cutler", "--accept-license", "--url", server.url)
        assert len(server.seen) == 1
    assert second.code == 0
    assert "verified" in second.err
    assert second.out == first.out


@pytest.mark.parametrize(("damaged", "word"), [(BODY[:-1], "bytes"), (BODY[::-1], "checksum")])
def test_a_damaged_installation_is_found_and_repaired(
    slipway: Command, home: Path, damaged: bytes, word: str
) -> None:
    with FileServer(BODY) as server:
        arguments = ("models", "pull", "cutler", "--accept-license", "--url", server.url)
        slipway(*arguments)
        (home / "cutler_cascade_final.pth").write_bytes(damaged)
        found = slipway(*arguments)
        assert found.code == 1
        assert word in found.err
        assert "--force" in found.err
        assert slipway(*arguments, "--force").code == 0
    assert (home / "cutler_cascade_final.pth").read_bytes() == BODY


def test_an_interrupted_pull_goes_on(slipway: Command, home: Path) -> None:
    with FileServer(BODY, cuts=deque([1000, 0])) as server:
        arguments = ("models", "pull", "cutler", "--accept-license", "--url", server.url)
        cut = slipway(*arguments, "--attempts", "1")
        assert cut.code == 1
        assert "1,000 bytes so far are kept" in cut.err
        assert not (home / "cutler_cascade_final.pth").exists()
        assert slipway(*arguments).code == 0
        assert server.seen == [None, "bytes=1000-", "bytes=1000-"]
    assert (home / "cutler_cascade_final.pth").read_bytes() == BODY


def test_no_network(slipway: Command, home: Path) -> None:
    with FileServer(BODY) as server:
        url = server.url
    done = slipway("models", "pull", "cutler", "--accept-license", "--url", url, "--attempts", "2")
    assert done.code == 1
    last = done.err.strip().splitlines()[-1]
    assert last.startswith("error: The download did not complete: no connection to the server")
    assert url in last
    assert "Traceback" not in done.err


def test_an_address_with_nothing_there(slipway: Command) -> None:
    with FileServer(BODY, statuses=deque([404])) as server:
        done = slipway("models", "pull", "cutler", "--accept-license", "--url", server.url)
    assert done.code == 1
    assert "no such file" in done.err
    assert "--file" in done.err


def test_a_page_instead_of_weights_is_not_installed(slipway: Command, home: Path) -> None:
    with FileServer(b"<html>please log in</html>") as server:
        done = slipway("models", "pull", "cutler", "--accept-license", "--url", server.url)
    assert done.code == 1
    assert "not a PyTorch checkpoint" in done.err
    assert list(home.iterdir()) == []


def test_a_checksum_that_does_not_match(slipway: Command, home: Path) -> None:
    with FileServer(BODY) as server:
        arguments = ("models", "pull", "cutler", "--accept-license", "--url", server.url)
        wrong = slipway(*arguments, "--sha256", "0" * 64)
        assert wrong.code == 1
        assert SUM in wrong.err
        assert not (home / "cutler_cascade_final.pth").exists()
        assert slipway(*arguments, "--sha256", SUM.upper()).code == 0


def test_a_local_copy_is_installed(slipway: Command, tmp_path: Path) -> None:
    local = tmp_path / "from a stick.pth"
    local.write_bytes(BODY)
    dest = tmp_path / "else where"
    done = slipway("models", "pull", "cutler", "--file", local, "--accept-license", "--dest", dest)
    assert done.code == 0, done.err
    assert (dest / "cutler_cascade_final.pth").read_bytes() == BODY
    assert local.exists()
    note = json.loads((dest / "cutler_cascade_final.pth.json").read_text())
    assert note["source"] == "file:from a stick.pth"


def test_a_file_put_in_place_by_hand_can_be_recorded(slipway: Command, home: Path) -> None:
    home.mkdir(parents=True)
    weights = home / "cutler_cascade_final.pth"
    weights.write_bytes(BODY)
    unknown = slipway("models", "pull", "cutler", "--accept-license")
    assert unknown.code == 1
    assert "without a record" in unknown.err
    known = slipway("models", "pull", "cutler", "--accept-license", "--file", weights)
    assert known.code == 0, known.err
    assert json.loads((home / "cutler_cascade_final.pth.json").read_text())["sha256"] == SUM


def test_a_local_file_that_is_no_checkpoint(slipway: Command, tmp_path: Path, home: Path) -> None:
    local = tmp_path / "notes.txt"
    local.write_text("not weights")
    done = slipway("models", "pull", "cutler", "--file", local, "--accept-license")
    assert done.code == 1
    assert "not a PyTorch checkpoint" in done.err
    assert not (home / "cutler_cascade_final.pth").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["nothing"], 1, "cutler"),
        (["cutler", "--file", "missing.pth"], 2, "missing.pth"),
        (["cutler", "--url", "ftp://example.org/x", "--accept-license"], 2, "http"),
        (["cutler", "--attempts", "0"], 2, "attempts"),
    ],
)
def test_a_misused_command_says_so(
    slipway: Command, arguments: list[str], code: int, word: str
) -> None:
    done = slipway("models", "pull", *arguments)
    assert done.code == code
    assert word in done.err


def test_the_official_weights_come_encrypted_and_their_configuration_stands_alone() -> None:
    assert CUTLER.url.startswith("https://")
    config = yaml.safe_load(CUTLER.config.read_text(encoding="utf-8"))
    assert "_BASE_" not in config, "it is copied away from its folder"


def test_the_list_shows_what_is_here_and_what_serves(
    slipway: Command, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = slipway("models", "list")
    assert before.code == 0
    assert re.search(r"^\* +segmenter", before.out, re.MULTILINE)
    assert "not here" in before.out
    local = tmp_path / "local.pth"
    local.write_bytes(BODY)
    slipway("models", "pull", "cutler", "--file", local, "--accept-license")
    monkeypatch.setenv("MODEL_PATH", str(home / "cutler_cascade_final.pth"))
    from services.core.settings import get_settings

    get_settings.cache_clear()
    after = slipway("models", "list")
    assert re.search(r"^\* +cutler", after.out, re.MULTILINE)
    assert "fetched" in after.out
