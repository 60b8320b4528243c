"""What a body is labelled as, for errors: only labels that many use are repeated."""

_KNOWN = frozenset(
    {
        "application/json",
        "application/octet-stream",
        "application/vnd.apache.parquet",
        "application/x-www-form-urlencoded",
        "application/xml",
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/webp",
        "multipart/form-data",
        "text/csv",
        "text/html",
        "text/plain",
        "text/xml",
    }
)


def media_received(kind: str) -> str:
    """Name a media type (in small letters, without parameters); a rare one only as such."""
    if not kind:
        return "no Content-Type"
    return kind if kind in _KNOWN else "another media type"
