"""How payloads and outputs of a family go through a queue: as bytes, and as they were again."""

from collections.abc import Mapping
from typing import Any, ClassVar

from services.core import packing


class Packing:
    """A part of the contract of families, for payloads and outputs of JSON values and arrays.

    A family whose payloads or outputs are of a type of its own says how they are written. Where
    several versions of Slipway share a queue, one has to read what another has written.

    Attributes:
        payload_type: the family's own type of payloads, where it has one.
    """

    payload_type: ClassVar[type | None] = None

    def pack_payload(self, payload: Any) -> tuple[dict[str, Any], bytes]:
        """Return a few JSON values that say how to read it, and the payload as bytes.

        Raises:
            TypeError: it holds something that cannot be written.
        """
        return packing.pack(payload)

    def unpack_payload(self, about: Mapping[str, Any], data: bytes) -> Any:
        """Return the payload that was packed."""
        return packing.unpack(about, data)

    def pack_output(self, output: Any) -> tuple[dict[str, Any], bytes | None]:
        """Return an output as JSON values, and its bytes, if it has any: a picture, say.

        Raises:
            TypeError: it holds something that cannot be written.
        """
        return packing.pack(output)

    def unpack_output(self, about: Mapping[str, Any], data: bytes | None) -> Any:
        """Return the output that was packed."""
        return packing.unpack(about, data or b"")
