"""What becomes of packed values on their way through a queue."""

import json
from typing import Any


def through_a_queue(packed: tuple[dict[str, Any], bytes | None]) -> tuple[Any, Any]:
    """Return both parts as they come out of a database's row and a blob."""
    about, data = packed
    return json.loads(json.dumps(about, allow_nan=False)), data
