"""Read one picture out of a multipart form, within limits, and without trusting its labels."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from services.core.errors import InvalidInputError, PayloadTooLargeError, UnsupportedMediaError
from services.core.image_headers.kinds import ACCEPTED, describe, received, sniff
from services.core.metrics import Metrics
from services.core.received import counted
from services.families.base import Picture
from services.gateway.dependencies import get_metrics, get_settings
from services.gateway.errors import MalformedRequestError
from services.gateway.media import media_received

FIELD = "file"
FORM = "multipart/form-data"
# What a form adds to its file: boundaries, part headers and a few small fields.
FORM_ALLOWANCE = 64 * 1024
_MAX_FIELDS = 8
_MAX_FIELD_BYTES = 4096

_DECLARED = {
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/pjpeg": "jpeg",
    "image/png": "png",
    "image/x-png": "png",
    "image/webp": "webp",
}
# Labels that say nothing about the contents: many clients send one of these for any file.
_SILENT = frozenset({"", "application/octet-stream", "binary/octet-stream", "image/*"})


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as received: its bytes, what they are (`other` if not a picture), its label."""

    data: bytes
    kind: str
    declared: str


@asynccontextmanager
async def picture(request: Request) -> AsyncIterator[Picture]:
    """Read the picture in the form field `file`, and count it by whether the block took it.

    Raises:
        InvalidInputError: see `read_upload` and `check_picture`.
    """
    metrics = get_metrics(request)
    upload = await read_upload(request, FIELD, get_settings(request).max_file_size)
    try:
        check_picture(upload, FIELD)
        yield Picture(upload.data)
    except InvalidInputError:
        count_upload(metrics, upload, accepted=False)
        raise
    count_upload(metrics, upload, accepted=True)


async def read_upload(request: Request, field: str, max_bytes: int) -> Upload:
    """Read the file in the form field `field`.

    Raises:
        UnsupportedMediaError: the body is no multipart form.
        MalformedRequestError: the form is broken, or has too many parts.
        InvalidInputError: the field is missing, or is text instead of a file.
        PayloadTooLargeError: the file has more than `max_bytes`.
    """
    form = await read_form(request, max_bytes)
    try:
        part = form.get(field)
        if not isinstance(part, UploadFile):
            raise _missing(field, form)
        upload = await read_part(part)
    finally:
        await form.close()
    check_size(upload, field, max_bytes)
    return upload


async def read_part(part: UploadFile) -> Upload:
    """Return what a form's file holds."""
    data = await part.read()
    declared = (part.content_type or "").partition(";")[0].strip().lower()
    return Upload(data, sniff(data) or "other", declared)


def check_size(upload: Upload, field: str, max_bytes: int) -> None:
    """Refuse a file of more than `max_bytes`.

    Raises:
        PayloadTooLargeError: it has more.
    """
    if len(upload.data) > max_bytes:
        raise PayloadTooLargeError(
            "The file is too large.",
            where=field,
            expected=f"at most {max_bytes} bytes",
            received=received(upload.data),
        )


def check_picture(upload: Upload, field: str) -> None:
    """Refuse what is no picture, and what is called something else than it is.

    Raises:
        InvalidInputError: the file is empty.
        UnsupportedMediaError: not a JPEG, PNG or WEBP, or not what its Content-Type says.
    """
    check_bytes(upload.data, field)
    if upload.declared in _SILENT or _DECLARED.get(upload.declared) == upload.kind:
        return
    # The label itself is the caller's text; only known ones are repeated.
    label = upload.declared if upload.declared in _DECLARED else "something else"
    raise UnsupportedMediaError(
        f"The file is labelled as {label}, but its bytes are {upload.kind.upper()}.",
        where=field,
        expected=f"Content-Type: image/{upload.kind} on that part, or none",
        received=received(upload.data),
    )


def check_bytes(data: bytes, field: str) -> None:
    """Refuse what is no picture.

    Raises:
        InvalidInputError: there is nothing.
        UnsupportedMediaError: not a JPEG, PNG or WEBP.
    """
    if not data:
        raise InvalidInputError(
            "The file is empty.", where=field, expected=ACCEPTED, received=received(data)
        )
    if sniff(data) is None:
        raise UnsupportedMediaError(
            f"The file is {describe(data)}.",
            where=field,
            expected=ACCEPTED,
            received=received(data),
        )


def count_upload(metrics: Metrics, upload: Upload, *, accepted: bool) -> None:
    """Count a received file by what its bytes are, never by what it was called."""
    metrics.file_uploads.labels(upload.kind, "accepted" if accepted else "rejected").inc()
    metrics.file_upload_size.observe(len(upload.data))


class _CompleteForm(MultiPartParser):
    """A parser that notices when a form has no end; Starlette's takes it for an empty one."""

    ended = False

    @property
    def too_many_files(self) -> bool:
        """Whether it stopped because of that."""
        return self._current_files > self.max_files

    def on_end(self) -> None:
        """Note that the last boundary has come."""
        self.ended = True

    async def parse(self) -> FormData:
        """Parse the form.

        Raises:
            MultiPartException: it is malformed, or cut off.
        """
        form = await super().parse()
        if not self.ended:
            for file in self._files_to_close_on_error:
                file.close()
            raise MultiPartException("Its end is missing.")
        return form


async def read_form(
    request: Request, max_bytes: int, max_files: int = 1, *, in_memory: bool = True
) -> FormData:
    """Read a multipart form of up to `max_files` files; the caller closes it.

    Args:
        in_memory: else files of more than a megabyte are kept on disk.

    Raises:
        UnsupportedMediaError: the body is no multipart form.
        MalformedRequestError: the form is broken, or has too many parts.
        PayloadTooLargeError: there may be several files, and these are too many.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM:
        raise UnsupportedMediaError(
            "The body is not a multipart form.",
            where="Content-Type",
            expected="multipart/form-data with a boundary, as `curl -F file=@photo.jpg` sends",
            received=media_received(kind),
        )
    parser = _CompleteForm(
        request.headers,
        request.stream(),
        max_files=max_files,
        max_fields=_MAX_FIELDS,
        max_part_size=_MAX_FIELD_BYTES,
    )
    if in_memory:
        # The body is bounded already; a temporary file on disk would only be slower.
        parser.spool_max_size = max_bytes + FORM_ALLOWANCE
    try:
        return await parser.parse()
    except MultiPartException as error:
        if max_files > 1 and parser.too_many_files:
            raise PayloadTooLargeError(
                "The form has too many files.",
                where="body",
                expected=f"at most {max_files}",
                received=f"more than {max_files}",
            ) from error
        raise _malformed(error.message, max_files) from error
    except (FormParserError, ValueError, KeyError) as error:
        raise _malformed("Invalid multipart data.", max_files) from error


def _malformed(message: str, max_files: int) -> MalformedRequestError:
    files = "one file" if max_files == 1 else f"up to {max_files} files"
    return MalformedRequestError(
        f"The form cannot be read: {message}",
        where="body",
        expected=f"{files} and at most {_MAX_FIELDS} small fields",
    )


def _missing(field: str, form: FormData) -> InvalidInputError:
    if field in form:
        message, came = f"The field {field} is text, not a file.", "text"
    elif form:
        message = f"The form has no field {field}."
        came = f"a form of {counted(len(form), 'other field')}"
    else:
        message, came = "The form is empty.", "a form without fields"
    return InvalidInputError(
        message,
        where=field,
        expected=f"a file in the form field {field} (with a filename)",
        received=came,
    )
