"""`python -m monitoring.grafana.build`: write every board's JSON anew."""

import json
from pathlib import Path

from monitoring.grafana.build import drift_quality, jobs, models, records, service
from monitoring.grafana.build.board import document

FOLDER = Path(__file__).parents[1] / "dashboards"
BOARDS = (service.BOARD, models.BOARD, jobs.BOARD, drift_quality.BOARD, records.BOARD)


def documents() -> dict[str, str]:
    """Return the files' texts by their names."""
    return {
        f"{board.uid}.json": json.dumps(document(board), indent=2, sort_keys=True) + "\n"
        for board in BOARDS
    }


def main() -> None:
    """Write them."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in documents().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
