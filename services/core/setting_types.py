"""What values of settings may be, and how those that are lists are written."""

import base64
import binascii
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+")
_WEB_ADDRESS = re.compile(r"https?://[^\s/]+(/\S*)?")
_SECRET = "whsec_"  # noqa: S105 -- what secrets begin with
# Bytes, as Standard Webhooks has it.
_SECRET_BYTES = range(24, 65)
_REDIS = ("redis://", "rediss://", "unix://")
_UNWRITABLE = frozenset({"http", "https", "memory"})


def _split(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _tags(value: Any) -> Any:
    tags = _split(value.lower() if isinstance(value, str) else value)
    return () if tags == ("none",) else tags


def _pairs(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    parts = [part.rpartition("=") for part in value.split(",") if part.strip()]
    if not all(name.strip() and rule.strip() for name, _, rule in parts):
        raise ValueError("it is written model=full, model=digest or model=none, with commas")
    return {name.strip(): rule.strip().lower() for name, _, rule in parts}


def _fields(value: tuple[str, ...]) -> tuple[str, ...]:
    if not all(all(field.rpartition(".")) for field in value):
        raise ValueError("each field is written model.field, or *.field for every model")
    return value


def _exact_origins(value: tuple[str, ...]) -> tuple[str, ...]:
    if not all(_ORIGIN.fullmatch(origin) for origin in value):
        raise ValueError("each origin must be exact, such as https://example.org (never *)")
    return value


def _redis_url(value: str) -> str:
    if not value.startswith(_REDIS):
        raise ValueError("it is written redis://:password@host:6379/0, rediss:// or unix://")
    return value


def _blob_place(value: str) -> str:
    scheme, found, rest = value.partition("://")
    if found and (not scheme or not rest or scheme in _UNWRITABLE):
        raise ValueError("a folder, or an address that keeps what is written: s3://bucket/folder")
    return value


def _web_address(value: str) -> str:
    if not _WEB_ADDRESS.fullmatch(value):
        raise ValueError("it is written http://host/path or https://host/path")
    return value


def _webhook_secret(value: str) -> str:
    try:
        key = base64.b64decode(value.removeprefix(_SECRET), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not value.startswith(_SECRET) or len(key) not in _SECRET_BYTES:
        raise ValueError("it is whsec_ and the base64 of 24 to 64 random bytes")
    return value


Seconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]
Grace = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]
# 0: for good.
Days = Annotated[float, Field(ge=0, le=36_500, allow_inf_nan=False)]
CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Origins = Annotated[CommaSeparated, AfterValidator(_exact_origins)]
Fields = Annotated[CommaSeparated, AfterValidator(_fields)]
Pairs = Annotated[dict[str, Literal["full", "digest", "none"]], NoDecode, BeforeValidator(_pairs)]
TraceTags = Annotated[
    tuple[Literal["model", "version", "stage", "status"], ...],
    NoDecode,
    BeforeValidator(_tags),
]
RedisUrl = Annotated[str, AfterValidator(_redis_url)]
BlobPlace = Annotated[str, AfterValidator(_blob_place)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
WebhookSecret = Annotated[str, AfterValidator(_webhook_secret)]
