"""What a version was trained on, kept with it: later predictions are compared with that."""

import time
from typing import TYPE_CHECKING

from services.core.errors import InvalidInputError, SlipwayError
from services.core.logging import get_logger
from services.core.signature import Signature
from services.families.base import Family
from services.monitoring.drift_fitting import fit
from services.registry import baselines
from services.training.listening import Heard

if TYPE_CHECKING:
    from services.training.tracking import Desk

_log = get_logger(__name__)


def keep(
    desk: "Desk", run_id: str, family: Family, heard: Heard, signature: Signature | None
) -> str | None:
    """Fit a baseline to what was heard, and keep it with the run; return its address.

    A training that has come so far does not fail for it: without a baseline the version serves as
    well, and `slipway drift baseline` makes one.
    """
    began = time.perf_counter()
    try:
        made = fit(heard.pairs, family, signature)
        address = baselines.put(desk.client, run_id, made.to_bytes())
    except InvalidInputError as error:
        _log.info("no baseline for drift", family=family.name, reason=error.message)
        return None
    except SlipwayError as error:
        _log.warning("the baseline for drift is not kept", family=family.name, error=error.message)
        return None
    except Exception:
        _log.exception("the baseline for drift cannot be made", family=family.name)
        return None
    seconds = round(time.perf_counter() - began, 3)
    _log.info("baseline for drift kept", family=family.name, rows=made.rows, seconds=seconds)
    return address
