"""Where the ledger keeps its files, below DATA_DIR."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Places:
    """Paths of one ledger; nothing here creates them."""

    data_dir: Path

    @property
    def root(self) -> Path:
        """The ledger's own folder."""
        return self.data_dir.absolute() / "ledger"

    @property
    def journal(self) -> Path:
        """A folder for each process that writes."""
        return self.root / "journal"

    @property
    def blobs(self) -> Path:
        """Pictures and large values, by their SHA-256."""
        return self.root / "blobs"

    @property
    def dead(self) -> Path:
        """What was refused for good."""
        return self.root / "dead"

    @property
    def status(self) -> Path:
        """What the shipper said last."""
        return self.root / "status.json"

    @property
    def shipper_lock(self) -> Path:
        """Held by the one that ships."""
        return self.root / "shipper.lock"

    @property
    def folder_id(self) -> Path:
        """By which this folder is known where several machines have one database."""
        return self.root / "folder.id"

    @property
    def database(self) -> Path:
        """SQLite, where LEDGER_DATABASE_URL names nothing else."""
        return self.root / "ledger.db"
