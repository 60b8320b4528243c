"""Writes records as a gateway would, for as long as it lives: DATA_DIR, a file for ids, a count."""

import os
import sys
from pathlib import Path

from services.ledger.journal import Journal
from tests.conftest import settings_for_tests
from tests.ledger.journals import encoded, record

# Several segments each second.
SEGMENT_BYTES = 64 * 1024


def main(data_dir: str, ids: str, count: str) -> None:
    """Write; an id stands in the file as soon as its record is in the journal."""
    journal = Journal(
        settings_for_tests(data_dir=Path(data_dir), ledger_segment_bytes=SEGMENT_BYTES)
    )
    file = os.open(ids, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for _ in range(int(count)):
        one = record()
        journal.append(encoded([one])[0])
        os.write(file, f"{one['id']}\n".encode())
    journal.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
