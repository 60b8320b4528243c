"""What `POST /predict/batch` is sent: the files of a form, or the one list of a JSON body."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request

from services.core.errors import InvalidInputError, PayloadTooLargeError
from services.core.signature.problems import kind_of, stranger
from services.gateway.dependencies import get_choice, get_settings
from services.gateway.uploads import Upload, read_form, read_part

_INPUTS = "inputs"
# The field for many, and the one of `POST /predict` that it stands for.
_PLURALS = {"images": "image"}
_FILES = ("files", "file", "files[]")
_PICTURES = "JPEG, PNG or WEBP files in the form field files"


@dataclass(frozen=True, slots=True)
class Items:
    """What a JSON body asks: the list called `name`, of which model, and `params` if it has any."""

    name: str
    values: list[Any]
    model: str
    payload: Mapping[str, Any]


async def read_files(request: Request) -> list[Upload]:
    """Return every file of the form, in order.

    Raises:
        InvalidInputError: there is none, or one in a field that is not known.
        PayloadTooLargeError: there are more than MAX_BATCH_FILES.
    """
    settings = get_settings(request)
    form = await read_form(request, settings.max_file_size, settings.max_batch_files)
    try:
        parts = [(name, part) for name, part in form.multi_items() if isinstance(part, UploadFile)]
        for name, _ in parts:
            if name not in _FILES:
                raise InvalidInputError(
                    "A file is in a field that is not known.",
                    where=stranger("form", name),
                    expected=_PICTURES,
                )
        if not parts:
            raise InvalidInputError(
                "The form has no files.", where="files", expected=_PICTURES, received="none"
            )
        return [await read_part(part) for _, part in parts]
    finally:
        await form.close()


def read_items(request: Request, body: dict[str, Any], model: str | None) -> Items:
    """Return which list a JSON body holds, and for which model.

    Args:
        model: the name in the address, if there is one.

    Raises:
        InvalidInputError: it holds none or several, an unknown field, or names no model.
        PayloadTooLargeError: there are more than MAX_ROWS.
    """
    choice = get_choice(request)
    name = _field(request, body)
    check_count(body[name], name, get_settings(request).max_rows)
    own = body.get("model")
    if model is not None and own is not None:
        raise InvalidInputError(
            "The model is named twice.",
            where="model",
            expected="?model= in the address, or the body's own field",
        )
    if name != _INPUTS and model is None:
        variant = {} if own is None else {"model": own}
        model = choice.of_body({_PLURALS.get(name, name): body[name], **variant})
    elif own is not None:
        model = own
    if not isinstance(model, str) or not model:
        raise InvalidInputError(
            "No model is named.",
            where="model",
            expected="the name of a registered model",
            received="nothing" if model is None else kind_of(model),
        )
    payload = {"params": body["params"]} if "params" in body else {}
    return Items(name, body[name], model, payload)


def check_count(values: Any, name: str, most: int) -> None:
    """Refuse what is no list, an empty list, and a list of more than `most`.

    Raises:
        InvalidInputError: see above; PayloadTooLargeError where there are too many.
    """
    if not isinstance(values, list) or not values:
        came = "an empty list" if isinstance(values, list) else kind_of(values)
        raise InvalidInputError(
            "There is no list of items.",
            where=name,
            expected="a list of at least one",
            received=came,
        )
    if len(values) > most:
        raise PayloadTooLargeError(
            f"There are {len(values)} items.",
            where=name,
            expected=f"at most {most}",
            received=f"a list of {len(values)}",
        )


def expected(request: Request) -> str:
    """Say what a JSON body has to hold."""
    return f"one list: {', '.join(_fields(request))}; with inputs the name of a model in model"


def _field(request: Request, body: Mapping[str, Any]) -> str:
    known = _fields(request)
    found = [field for field in known if field in body]
    if len(found) != 1:
        many = "more than one" if found else "none"
        raise InvalidInputError(
            f"The body has {many} of the fields that hold the items.",
            where="body",
            expected=expected(request),
        )
    for name in body:
        if name not in (*known, "model", "params"):
            raise InvalidInputError(
                "A field is not known.", where=stranger("body", name), expected=expected(request)
            )
    return found[0]


def _fields(request: Request) -> list[str]:
    single = get_choice(request).fields
    return sorted({*single, _INPUTS, *(many for many, one in _PLURALS.items() if one in single)})
