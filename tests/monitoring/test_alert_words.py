"""What alerts and their pages speak of is there: metrics, labels, their values, commands, boards.

A typing error would keep an alert silent for ever, or send somebody at night to what is not there.
"""

import json
import re
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from typer.main import get_command

from services.cli.main import app as commands
from services.core.errors import LedgerFullError
from services.core.metering import vitals
from services.core.settings import Settings
from services.engine import watch
from services.gateway.app import create_app
from services.jobs import collector
from services.jobs.health import BEAT
from services.jobs.names import QUEUES
from services.monitoring.metric_catalogue import every
from services.worker.health import LOOKS
from tests.support.alert_rules import ALERTS, EVERY, EVERY_RECORD, RECORDS, ROOT, RUNBOOKS, Rule
from tests.support.alertmanager import AlertmanagerServer
from tests.support.mlflow_server import free_port
from tests.support.patience import PATIENCE
from tests.support.prometheus import PrometheusServer
from tests.support.promql import SCRAPED, known, selectors, strange

# Prometheus' and the Alertmanager's own, held against real ones below.
OWN = {
    "scrape_duration_seconds": set[str](),
    "prometheus_notifications_alertmanagers_discovered": set[str](),
    "prometheus_notifications_errors_total": {"alertmanager"},
    "prometheus_rule_evaluation_failures_total": {"rule_group"},
    "prometheus_config_last_reload_successful": set[str](),
    "alertmanager_config_last_reload_successful": set[str](),
    "alertmanager_notifications_failed_total": {"integration"},
}
_NOBODY_TOLD = "route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n"
BOARDS = {f"slipway-{name}" for name in ("service", "models", "jobs", "drift-quality", "records")}
PAGES = [*sorted(RUNBOOKS.glob("*.md")), ROOT / "docs" / "alerts.md"]
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
TABLE = re.compile(r"^\| \[(\w+)\]\(\.\./(\S+)\) \| ([\w, ]+) \| (.+) \|$", re.MULTILINE)

# By door: predictions that are answered at once are promised within a time, the rest is not.
AT_ONCE = {
    "/predict", "/models/{name}/predict", "/process-image",
    "/invocations", "/models/{name}/invocations", "/endpoints/{name}/invocations",
    "/v1/models/{name}:predict", "/v1/models/{name}/versions/{version}:predict",
    "/v2/models/{name}/infer", "/v2/models/{name}/versions/{version}/infer",
}  # fmt: skip
LATER = re.compile(
    r"/predict/batch|/process-image/async|/predictions.*|/jobs/.*|/train.*|/sweep|/models/webhook"
    r"|/models/transition|/v2/repository/.*|/v1/models/\{name\}:explain|/feedback.*"
)
PROBES = {
    "/health", "/health/live", "/health/ready", "/ping", "/metrics", "/metrics/summary",
    "/v2/health/live", "/v2/health/ready", "/v2/models/{name}/ready",
    "/v2/models/{name}/versions/{version}/ready",
}  # fmt: skip


@cache
def routes() -> dict[str, set[str]]:
    """Return the methods of each route."""
    made = create_app(Settings(_env_file=None, ledger=False, jobs=False))
    with warnings.catch_warnings():
        # Whether the document is a good one is another test's matter.
        warnings.simplefilter("ignore")
        return {path: set(methods) for path, methods in made.openapi()["paths"].items()}


def values() -> dict[tuple[str, str], set[str]]:
    """Return what the labels can be that rules ask for."""
    predictions = {name for _, name in watch._STATUS} | {"success", "cancelled", "error"}
    queues = {*QUEUES, BEAT}
    bounds = {one.name: {str(float(b)) for b in one.buckets} for one in every()}
    return {
        ("predictions_total", "status"): predictions,
        ("requests_rejected_total", "reason"): {name for _, name in watch._REJECTIONS},
        ("jobs_total", "status"): set(collector._STATUSES),
        ("webhook_deliveries_total", "result"): set(collector._SENT),
        ("model_swaps_total", "result"): {"swapped", "failed"},
        ("service_up", "service"): {"redis", "database", "workers", BEAT, *LOOKS},
        ("workers", "queue"): queues,
        ("job_age_seconds", "queue"): queues,
        ("prediction_quality", "metric"): {"mae", "rmse"},
        ("prediction_quality_reference", "metric"): {"mae", "rmse"},
        ("program_start_time_seconds", "program"): {vitals.GATEWAY},
        ("http_request_duration_seconds_bucket", "le"): bounds["http_request_duration_seconds"],
    }


def there() -> dict[str, frozenset[str]]:
    """Return the labels of every series by its name."""
    return {**known(), **{name: SCRAPED | labels for name, labels in OWN.items()}}


def expressions() -> Iterator[Rule]:
    yield from (*EVERY, *EVERY_RECORD)


def name_of(rule: Rule) -> str:
    return str(
        rule.get("record", "-".join([rule.get("alert", ""), *rule.get("labels", {}).values()]))
    )


@pytest.mark.parametrize("rule", list(expressions()), ids=name_of)
def test_it_asks_for_metrics_and_labels_that_there_are(rule: Rule) -> None:
    assert strange(rule["expr"], there()) == []


def test_a_wrong_name_is_noticed() -> None:
    assert strange("max by (queue) (job_age_secs) > 30") != []
    assert strange('job_age_seconds{que="batch"} > 30') != []
    assert strange("max by (que) (job_age_seconds) > 30") != []


@pytest.mark.parametrize("rule", list(expressions()), ids=name_of)
def test_it_asks_for_values_that_there_are(rule: Rule) -> None:
    possible = values()
    for selector in selectors(rule["expr"]):
        for matcher in selector.matchers.matchers:
            place = (str(selector.name), matcher.name)
            if matcher.name in {"job", "route", "method"} or place[0].startswith("http_requests"):
                continue
            asked = matcher.value.split("|")
            assert set(asked) <= possible[place], place


def test_the_reasons_that_are_asked_for_are_those_that_are_counted() -> None:
    assert ("requests_rejected_total", "reason") in values()
    assert LedgerFullError.code in values()["requests_rejected_total", "reason"]


def _routes_of(record: str, matches: bool = True) -> set[str]:
    """Return the routes that a recorded series is about."""
    rule = next(rule for rule in EVERY_RECORD if rule["record"] == record)
    patterns = {
        matcher.value
        for selector in selectors(rule["expr"])
        for matcher in selector.matchers.matchers
        if matcher.name == "route"
    }
    return {
        route
        for route in routes()
        if any(re.fullmatch(pattern, route) for pattern in patterns) is matches
    }


def test_the_promise_of_time_is_about_predictions_that_are_answered_at_once() -> None:
    posted = {route for route, methods in routes().items() if "post" in methods}
    assert {route for route in posted if not LATER.fullmatch(route)} == AT_ONCE
    asked = _routes_of("job:predict_requests:rate5m")
    assert asked & posted == AT_ONCE
    assert _routes_of("job:predict_requests_slow:rate5m") & posted == AT_ONCE


def test_the_promise_of_answers_is_about_all_but_probes() -> None:
    for record in ("job:http_requests:rate5m", "job:http_requests_failed:rate5m"):
        assert _routes_of(record) == PROBES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_leads_to_what_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if page.parent == RUNBOOKS:
        assert text.startswith(f"# {page.stem}\n")
        assert "**Means.**" in text and "**Look.**" in text
    assert not [link for link in LINK.findall(text) if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_and_addresses_of_a_page_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    _check_words(text)
    for expression in re.findall(r"query=(.+)'$", text, re.MULTILINE):
        assert strange(expression, there()) == []


def test_commands_and_addresses_of_the_texts_are_there() -> None:
    for rule in EVERY:
        _check_words(" ".join(rule["annotations"].values()))


def _check_words(text: str) -> None:
    for words in re.findall(r"\bslipway ((?:[a-z][a-z-]*\b ?)+)(?=[^a-z]|$)", text):
        _check_command(words.split())
    for url in re.findall(r"http://127\.0\.0\.1:8000(/[^\s'\"`]*)", text):
        path = urlsplit(url).path
        assert any(_fits(path, route) for route in routes()), path


def _check_command(words: list[str]) -> None:
    found = get_command(commands)
    for word in words:
        below = getattr(found, "commands", None)
        if below is None:
            return
        assert word in below, f"slipway {' '.join(words)}"
        found = below[word]


def _fits(path: str, route: str) -> bool:
    return bool(re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(route)), path))


def test_an_alert_leads_to_a_board_that_is_there() -> None:
    built = {
        json.loads(file.read_text(encoding="utf-8"))["uid"]
        for file in (ROOT / "monitoring" / "grafana" / "dashboards").glob("*.json")
    }
    named = {rule["annotations"]["dashboard"].split("?")[0] for rule in EVERY}
    assert named <= {f"/d/{uid}" for uid in BOARDS & built}


def test_the_list_of_alerts_is_whole() -> None:
    """docs/alerts.md: each alert with its severities, gravest first, and its page."""
    text = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    listed = {name: (page, words.split(", ")) for name, page, words, _ in TABLE.findall(text)}
    expected: dict[str, tuple[str, list[str]]] = {}
    for rule in EVERY:
        severities = expected.setdefault(rule["alert"], (rule["annotations"]["runbook"], []))[1]
        if rule["labels"]["severity"] not in severities:
            severities.append(rule["labels"]["severity"])
    for _, severities in expected.values():
        severities.sort()
    assert {name: (page, sorted(words)) for name, (page, words) in listed.items()} == expected


@pytest.mark.slow
def test_a_real_prometheus_takes_the_rules_and_has_the_metrics_that_are_its_own(
    tmp_path: Path,
) -> None:
    copies = []
    for file in (*ALERTS, *RECORDS):
        copies.append(tmp_path / f"{file.parent.name}-{file.name}")
        # Each round as soon as may be.
        text = file.read_text(encoding="utf-8").replace("interval: 30s", "interval: 1s")
        copies[-1].write_text(text, encoding="utf-8")
    # Nobody listens there, so that what is told to it fails.
    nobody = f"127.0.0.1:{free_port()}"
    folder = tmp_path / "prometheus"
    with PrometheusServer(folder, rules=copies, alertmanager=nobody) as prometheus:
        prometheus.until(
            lambda: all(rule["health"] != "unknown" for rule in prometheus.rules()),
            PATIENCE,
            "rules",
        )
        assert [rule for rule in prometheus.rules() if rule["health"] != "ok"] == []
        firing = {one["labels"]["alertname"] for one in prometheus.alerts()}
        assert "Watchdog" in firing
        prometheus.until(lambda: not _unknown(prometheus.url, "prometheus_"), why="its metrics")
    with AlertmanagerServer(tmp_path / "alertmanager", _NOBODY_TOLD) as alertmanager:
        assert _unknown(alertmanager.url, "alertmanager_") == []


def _unknown(url: str, beginning: str) -> list[tuple[str, str]]:
    """Return what a program does not expose of its own metrics: names, and names with labels."""
    exposed = httpx.get(f"{url}/metrics", timeout=30, trust_env=False).text
    return [
        (name, label)
        for name, labels in OWN.items()
        if name.startswith(beginning)
        for label in (labels or {""})
        if not re.search(rf"^{name}({{.*\b{label}=| )", exposed, re.MULTILINE)
    ]
