"""The kinds of file that predictions are exported to; rows as in the Parquet parts in MLflow."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.ledger.records import Record

Write = Callable[["list[Record]"], None]


@contextmanager
def writing(suffix: str, path: Path) -> Iterator[Write]:
    """Return what writes records to a file of this kind; on leaving, the disk has confirmed it."""
    with WRITERS[suffix](path) as write:
        yield write
    with path.open("rb+") as file:
        os.fsync(file.fileno())


@contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    import pyarrow.parquet as pq

    from services.ledger.shipping.parts import SCHEMA, table

    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        yield lambda records: writer.write_table(table(records))


@contextmanager
def _csv(path: Path) -> Iterator[Write]:
    import pyarrow.csv

    from services.ledger.shipping.parts import SCHEMA, table

    with pyarrow.csv.CSVWriter(path, SCHEMA) as writer:
        yield lambda records: writer.write_table(table(records))


@contextmanager
def _lines(path: Path) -> Iterator[Write]:
    """Whole records, as they stand in the journal: an object a line."""
    with path.open("wb") as file:

        def write(records: "list[Record]") -> None:
            file.writelines(record.raw + b"\n" for record in records)

        yield write


WRITERS = {".parquet": _parquet, ".jsonl": _lines, ".csv": _csv}
