"""What a model takes and gives: its signature, and the check of payloads against it."""

from services.core.signature.types import Field, Param, Signature

__all__ = ["Field", "Param", "Signature"]
