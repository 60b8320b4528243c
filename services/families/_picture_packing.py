"""How pictures go through a queue; apart from what reads them: to find families is cheap."""

from collections.abc import Mapping
from typing import Any, ClassVar

from services.families._packing import Packing
from services.families.base import Picture

_KIND, _PICTURE = "kind", "picture"


class PicturePacking(Packing):
    """For families that take a `Picture`: a file goes through a queue as it came."""

    payload_type: ClassVar[type | None] = Picture

    def pack_payload(self, payload: Any) -> tuple[dict[str, Any], bytes]:
        """Return the file; see `Packing`. A JSON body goes as one."""
        if type(payload) is Picture:  # a kind of its own would lose what it says besides
            return {_KIND: _PICTURE}, payload.data
        return super().pack_payload(payload)

    def unpack_payload(self, about: Mapping[str, Any], data: bytes) -> Any:
        """Return the payload that was packed."""
        if about.get(_KIND) == _PICTURE:
            return Picture(data)
        return super().unpack_payload(about, data)
