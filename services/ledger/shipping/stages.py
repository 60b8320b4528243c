"""All that is done with records, put together."""

from services.core.settings import Settings
from services.ledger.database.opening import Database
from services.ledger.places import Places
from services.ledger.shipping.aggregates import Aggregates
from services.ledger.shipping.annotated import Annotated
from services.ledger.shipping.feedback import FeedbackStage
from services.ledger.shipping.finishing import Finishing
from services.ledger.shipping.indexing import Indexing
from services.ledger.shipping.jobrecords import JobRecords
from services.ledger.shipping.lane import Stage
from services.ledger.shipping.parquet import Parquet
from services.ledger.shipping.traces import Traces
from services.ledger.shipping.upkeep import Upkeep
from services.ledger.shipping.watch import Watch

# Seconds until a stage that found nothing to do looks again.
_SOON, _NORMAL, _SELDOM = 0.25, 1.0, 5.0


def stages(settings: Settings, database: Database, places: Places) -> list[tuple[Stage, float]]:
    """Return every stage, and the seconds that it rests when there is nothing to do."""
    return [
        # Made before any other begins: it settles what the last shipper left half done.
        (JobRecords(settings, database, places), _SOON),
        (Indexing(settings, database, places), _SOON),
        (Traces(settings, database, places), _NORMAL),
        (Parquet(settings, database, places), _NORMAL),
        (Aggregates(settings, database, places), _SELDOM),
        (FeedbackStage(settings, database, places), _NORMAL),
        (Annotated(settings, database, places), _SELDOM),
        (Finishing(settings, database, places), _NORMAL),
        (Upkeep(settings, database, places), _SELDOM),
        (Watch(settings, database, places), _SELDOM),
    ]
