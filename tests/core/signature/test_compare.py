"""A client of the old signature works with the new one, or the reason why not is said."""

import pytest

from services.core.signature import Field, Param, Signature
from services.core.signature.validate import compatible

OLD = Signature(
    (Field("age", "integer"), Field("name", "string", required=False)),
    (Field("score", "double"),),
    (Param("k", "integer", 1),),
)


def changed(**parts: tuple[object, ...]) -> Signature:
    return Signature(
        **{"inputs": OLD.inputs, "outputs": OLD.outputs, "params": OLD.params, **parts}  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    "new",
    [
        OLD,
        changed(inputs=(*OLD.inputs, Field("more", "double", required=False))),
        changed(inputs=(Field("age", "double"), OLD.inputs[1])),
        changed(inputs=(Field("age", "any", required=False), OLD.inputs[1])),
        changed(outputs=(Field("score", "float"), Field("why", "string"))),
        changed(outputs=()),
        changed(params=(Param("k", "long", 2), Param("new", "string", "x"))),
    ],
)
def test_nothing_that_hurts(new: Signature) -> None:
    assert compatible(OLD, new) == []


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (changed(inputs=(Field("ages", "integer"), OLD.inputs[1])), "perhaps renamed to ages"),
        (changed(inputs=OLD.inputs[:1]), "input name is gone"),
        (changed(inputs=(*OLD.inputs, Field("more", "double"))), "more is new and required"),
        (changed(inputs=(Field("age", "string"), OLD.inputs[1])), "age is of type string now"),
        (changed(inputs=(OLD.inputs[0], Field("name", "string"))), "name may no longer be left"),
        (changed(inputs=OLD.inputs[::-1]), "another order"),
        (
            changed(inputs=(Field("more", "double", required=False), *OLD.inputs)),
            "another order",
        ),
        (changed(inputs=(Field(None, "integer"),)), "no names any more"),
        (changed(inputs=(Field(None, "tensor", dtype="int8", shape=(-1, 2)),)), "takes tensors"),
        (changed(inputs=()), "only one of the two"),
        (changed(outputs=(Field("score", "string"),)), "output score has changed"),
        (changed(outputs=(Field("points", "double"),)), "output score is gone"),
        (changed(outputs=(Field(None, "double"),)), "outputs have other names"),
        (changed(params=()), "parameter k is gone"),
        (changed(params=(Param("k", "integer", [1], (-1,)),)), "parameter k is of another type"),
    ],
)
def test_what_breaks(new: Signature, reason: str) -> None:
    assert reason in "; ".join(compatible(OLD, new))


def tensor(dtype: str, *shape: int) -> Signature:
    return Signature((Field(None, "tensor", dtype=dtype, shape=shape),))


def test_tensors() -> None:
    old = tensor("float32", -1, 20)
    assert compatible(old, tensor("float64", -1, -1)) == []
    assert "float16" in compatible(old, tensor("float16", -1, 20))[0]
    assert "[-1, 21]" in compatible(old, tensor("float32", -1, 21))[0]
    assert compatible(old, tensor("float32", -1, 2, 10))
    nested = Field("x", "array", detail={"type": "array", "items": {"type": "long"}})
    other = Field("x", "array", detail={"type": "array", "items": {"type": "string"}})
    assert compatible(Signature((nested,)), Signature((other,)))
