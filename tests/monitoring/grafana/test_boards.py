"""The boards without a Grafana: as built, as the SDK's schema has them, laid out, asking well."""

import json
import re
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from monitoring.grafana.build.__main__ import documents
from monitoring.grafana.build.board import EXTRA, WIDTH
from monitoring.grafana.build.links import BOARDS
from tests.monitoring.grafana.boards import EVERY, FILES, GRAFANA, Asked, boards, panels
from tests.monitoring.grafana.empty import EMPTY, UNSEEN
from tests.support.promql import selectors, strange

ALL = boards()
BY_BOARD = pytest.mark.parametrize("board", ALL, ids=[board["uid"] for board in ALL])
_ADDRESS = re.compile(r"/d/([\w-]+)")
_VARIABLE = re.compile(r"\$\{?(\w+)")


def test_the_files_are_what_the_code_builds() -> None:
    """`python -m monitoring.grafana.build` writes them anew."""
    assert {file.name: file.read_text(encoding="utf-8") for file in FILES} == documents()


@BY_BOARD
def test_the_schema_of_the_sdk_reads_it_and_writes_it_the_same(board: dict[str, Any]) -> None:
    register_default_plugins()
    read = Dashboard.from_json(json.loads(json.dumps(board)))
    written = json.loads(JSONEncoder().encode(read))
    for panel in written["panels"]:
        if panel["type"] == "heatmap":
            # The one thing that it fills in, and as empty as it was.
            assert panel["fieldConfig"]["defaults"].pop("custom") == {}
    assert written == _without_extra(board)


def _without_extra(board: dict[str, Any]) -> dict[str, Any]:
    """Return a board less what Grafana reads and the SDK does not know."""
    listed = [
        {key: value for key, value in one.items() if key not in EXTRA[one["name"]]}
        for one in board["annotations"]["list"]
    ]
    return {**board, "annotations": {"list": listed}}


def test_each_has_its_address() -> None:
    assert {board["uid"]: board["title"] for board in ALL} == BOARDS
    assert [file.stem for file in FILES] == [board["uid"] for board in ALL]


@BY_BOARD
def test_no_panel_lies_on_another(board: dict[str, Any]) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in board["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= WIDTH
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in taken, (panel["title"], taken[x, y])
                taken[x, y] = panel["title"]
    # Nor is there a hole.
    bottom = max(y for _, y in taken) + 1
    assert len(taken) == WIDTH * bottom


@BY_BOARD
def test_panels_can_be_told_apart(board: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in board["panels"]]
    titles = [panel["title"] for panel in panels(board)]
    assert len(set(ids)) == len(ids)
    assert len(set(titles)) == len(titles)
    for panel in panels(board):
        letters = [target["refId"] for target in panel["targets"]]
        assert letters and len(set(letters)) == len(letters)


@BY_BOARD
def test_the_first_line_says_what_is_wrong(board: dict[str, Any]) -> None:
    """Figures only, green or red (one may be plain where there is no good or bad)."""
    row, *others = board["panels"]
    first = [panel for panel in others if panel["gridPos"]["y"] == 1]
    assert row["type"] == "row" and {panel["type"] for panel in first} == {"stat"}
    colours = [
        {step["color"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]}
        for panel in first
    ]
    assert sum({"green", "red"} <= one for one in colours) >= 4
    for panel in first:
        # Where low is bad, Grafana would give no value the colour of the lowest: red.
        defaults = panel["fieldConfig"]["defaults"]
        neutral = defaults["mappings"][-1]["options"]
        assert neutral["match"] == "null+nan"
        assert neutral["result"]["text"] == defaults["noValue"]


@BY_BOARD
def test_every_panel_explains_itself_and_what_it_is_when_empty(board: dict[str, Any]) -> None:
    for panel in panels(board):
        assert panel["description"].endswith((".", "`")), panel["title"]
        assert panel["fieldConfig"]["defaults"]["noValue"], panel["title"]


@BY_BOARD
def test_links_lead_somewhere(board: dict[str, Any]) -> None:
    text = json.dumps(board)
    assert set(_ADDRESS.findall(text)) <= set(BOARDS)
    assert {link["url"] for link in board["links"]} >= {
        f"/d/{uid}" for uid in BOARDS if uid != board["uid"]
    }
    kept = [link for link in board["links"] if link["url"].startswith("/d/")]
    assert all(link["includeVars"] and link["keepTime"] for link in kept)
    known = {variable["name"] for variable in board["templating"]["list"]}
    inner = {"__all", "__field", "__data", "__url_time_range", "__rate_interval"}
    assert set(_VARIABLE.findall(text)) <= known | inner


def test_alerts_name_boards_that_there_are() -> None:
    files = sorted((GRAFANA.parent / "prometheus" / "alerts").glob("*.yml"))
    named = {uid for file in files for uid in _ADDRESS.findall(file.read_text(encoding="utf-8"))}
    assert named
    assert named <= set(BOARDS)


@pytest.mark.parametrize("one", EVERY, ids=str)
def test_it_asks_for_what_there_is(one: Asked) -> None:
    assert selectors(one.expression)
    assert not strange(one.expression)


def test_a_wrong_expression_is_noticed() -> None:
    assert strange("sum(http_request_total)")
    assert strange('sum(http_requests_total{path="/"})')
    assert strange("sum by (path) (http_requests_total)")
    with pytest.raises(ValueError, match="unclosed"):
        strange("sum(http_requests_total")


def test_only_what_is_there_is_excused() -> None:
    assert set(EMPTY) <= {one.name for one in EVERY}
    assert set(UNSEEN) <= {found.name for one in EVERY for found in selectors(one.expression)}


def test_what_is_provisioned_is_what_the_boards_name() -> None:
    sources, providers = (
        yaml.safe_load((GRAFANA / "provisioning" / kind / "slipway.yaml").read_text())
        for kind in ("datasources", "dashboards")
    )
    uids = {source["type"]: source["uid"] for source in sources["datasources"]}
    for board in ALL:
        (chosen,) = (v for v in board["templating"]["list"] if v["type"] == "datasource")
        assert chosen["current"]["value"] == uids[chosen["query"]]
    assert providers["providers"][0]["options"]["path"]
