"""`slipway drift baseline`: make what a version's predictions are compared with."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli import ledger_sources
from services.cli.console import UsageError, err, out
from services.cli.models_registry import Desk, Name, desk, details, print_json
from services.core.errors import InvalidInputError, NotFoundError
from services.registry.catalogue import Stage, VersionRef

if TYPE_CHECKING:
    from services.monitoring.drift.baseline import Baseline

# Rows of the records that a baseline is made of; far more than a window.
_MOST_ROWS = 5000
_FROM_RECORDS = "--from-records"


def baseline(
    model: Name,
    version: Annotated[
        str | None,
        typer.Option(help="Its number, or what its tag `version` says; else that in production."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            help="What it was trained on: a CSV file, a .jsonl of payloads, a folder of pictures. "
            "Models that were trained here on their family's own data need none.",
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Column of the file that holds the answers.")
    ] = None,
    from_records: Annotated[
        bool, typer.Option(_FROM_RECORDS, help="Make it of predictions on record instead.")
    ] = False,
    since: Annotated[
        str | None, typer.Option(help="Of those not before this time (2026-11-21, or 7d for ago).")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Of those before this time.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Make a baseline for a version that has none, or another one, and keep it with the version.

    The version is opened here and asked about the data; with --from-records it is not, and what was
    asked at a good time counts as the baseline.
    """
    if from_records and (data is not None or target is not None):
        raise UsageError("Either data or records.", where=_FROM_RECORDS, expected="one of both")
    if not from_records and (since or until):
        raise UsageError("Times choose among records.", where="--since", expected=_FROM_RECORDS)
    here = desk()
    ref = _ref(here, model, version)
    made = _recorded(here, ref, since, until) if from_records else _asked(here, ref, data, target)
    from services.registry import baselines

    address = baselines.attach(here.settings, ref, made.to_bytes())
    if as_json:
        print_json(
            {"model": ref.name, "version": ref.version, "baseline": address, "rows": made.rows}
        )
    else:
        out.print(f"{ref.name} {ref.version}: baseline of {made.rows} rows, {address}")


def _ref(here: Desk, model: str, version: str | None) -> VersionRef:
    from services.rollout import choose

    if version is None:
        return here.registry.find(model, stage=Stage.PRODUCTION)
    return choose.version(here.registry.versions(model), version)


def _asked(here: Desk, ref: VersionRef, data: Path | None, target: str | None) -> "Baseline":
    from services.rollout.baseline import from_data
    from services.rollout.subject import Bench

    bench = Bench(here.registry, here.families, here.settings)
    with bench.lending() as opened:
        err.print(f"Opening version {ref.version} of {ref.name} …")
        subject = bench.open(ref, opened)
        digest = details(here, ref).params.get("data_digest")
        return from_data(subject, data, target, digest)


def _recorded(here: Desk, ref: VersionRef, since: str | None, until: str | None) -> "Baseline":
    from services.ledger.database.opening import open_database
    from services.monitoring.drift.baseline import Baseline
    from services.monitoring.drift_fitting import names
    from services.monitoring.drift_window import NOT_RECORDED, Reader

    begin = ledger_sources.microseconds(ledger_sources.moment(since, "--since")) or 0
    end = ledger_sources.microseconds(ledger_sources.moment(until, "--until"))
    fields = names(details(here, ref).signature)
    database = open_database(here.settings)
    try:
        reader = Reader(here.settings, here.families, database)
        key = (ref.name, ref.version)
        found = reader.newest(key, max(begin, ref.created * 1000), _MOST_ROWS, end)
        if not found:
            raise NotFoundError(
                "No such predictions are on record.",
                where=_FROM_RECORDS,
                expected="some that succeeded, in that time",
            )
        window = reader.window(key, found, _MOST_ROWS, fields)
    finally:
        database.close()
    if window.inputs == NOT_RECORDED:
        err.print("What was asked is not on record: this baseline knows answers only.")
    try:
        return Baseline.fit(window.samples, fields=fields)
    except InvalidInputError as error:
        error.where = _FROM_RECORDS
        raise
