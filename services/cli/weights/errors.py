"""What can go wrong between the address of a file and the file in its place."""

from services.core.errors import SlipwayError


class DownloadError(SlipwayError):
    """The file could not be fetched; what arrived is kept, so that a later try goes on from it."""

    code = "download_failed"


class VerificationError(SlipwayError):
    """The file is not what it should be."""

    code = "verification_failed"


class TransferInterrupted(Exception):
    """One attempt ended early for a reason that another attempt may not meet."""
