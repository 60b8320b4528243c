"""MLflow's webhooks: whether a delivery is genuine, fresh, and seen for the first time.

MLflow signs `<delivery id>.<timestamp>.<body>` with HMAC-SHA256; headers `X-MLflow-Signature`
(`v1,<base64>`), `X-MLflow-Delivery-Id` and `X-MLflow-Timestamp` (seconds since 1970).
"""

import base64
import hashlib
import hmac
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping

from services.core.errors import InvalidInputError

TOLERANCE_SECONDS = 300.0
_MOST_DELIVERIES = 10_000
_LONGEST_ID = 200
_SIGNATURE, _DELIVERY, _TIMESTAMP = (
    "x-mlflow-signature",
    "x-mlflow-delivery-id",
    "x-mlflow-timestamp",
)
_SECONDS = re.compile(r"[0-9]{1,12}")


class Deliveries:
    """Checks deliveries, and remembers those it has seen: as many as ten thousand."""

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._seen: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def accept(self, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """Take a delivery.

        Args:
            headers: names in any case.
            now: seconds since 1970.

        Raises:
            InvalidInputError: it is not signed by the secret, too old, or was here before.
        """
        delivery = verify(self._secret, headers, body, now)
        with self._lock:
            while self._seen and next(iter(self._seen.values())) < now - 2 * TOLERANCE_SECONDS:
                self._seen.popitem(last=False)
            if delivery in self._seen or len(self._seen) >= _MOST_DELIVERIES:
                # Full of genuine ones: one more hint to look is no loss.
                raise _refused("The delivery was received before.", _DELIVERY)
            self._seen[delivery] = now


def verify(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> str:
    """Return the delivery's id if its signature is right and not older or newer than 5 minutes.

    Raises:
        InvalidInputError: it is not.
    """
    given = {name.lower(): value for name, value in headers.items()}
    delivery, sent = given.get(_DELIVERY, ""), given.get(_TIMESTAMP, "")
    if not secret or not 0 < len(delivery) <= _LONGEST_ID or not _SECONDS.fullmatch(sent):
        raise _refused("The delivery is not signed.", _SIGNATURE)
    signed = f"{delivery}.{sent}.".encode() + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    right = b"v1," + base64.b64encode(digest)
    if not hmac.compare_digest(right, given.get(_SIGNATURE, "").encode()):
        raise _refused("The delivery's signature is wrong.", _SIGNATURE)
    if abs(now - int(sent)) > TOLERANCE_SECONDS:
        raise _refused("The delivery is too old, or the clocks differ.", _TIMESTAMP)
    return delivery


def _refused(message: str, where: str) -> InvalidInputError:
    return InvalidInputError(
        message, where=where, expected="a delivery of MLflow, signed with MLFLOW_WEBHOOK_SECRET"
    )
