"""What the settings say must not be written down is not."""

import numpy as np
import pytest

from services.ledger.encoding import split
from services.ledger.privacy import REDACTED, Privacy
from tests.conftest import MakeSettings


def test_rules_by_model(make_settings: MakeSettings) -> None:
    privacy = Privacy(
        make_settings(ledger_inputs="digest", ledger_inputs_by_model={"open": "full"})
    )
    assert privacy.rule("open") == "full"
    assert privacy.rule("other") == "digest"


def test_fields_by_model(make_settings: MakeSettings) -> None:
    privacy = Privacy(make_settings(ledger_redact="credit.income,*.email,a.b.c"))
    assert privacy.hidden("credit") == {"income", "email"}
    assert privacy.hidden("other") == {"email"}
    assert privacy.hidden("a.b") == {"c", "email"}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"inputs": [{"age": 3, "income": 7}]}, {"inputs": [{"age": 3, "income": REDACTED}]}),
        ({"inputs": {"income": [1, 2]}}, {"inputs": {"income": REDACTED}}),
        ({"inputs": [[3, 7], [4, 8]]}, {"inputs": [[3, REDACTED], [4, REDACTED]]}),
        ({"features": [3, 7]}, {"features": [3, REDACTED]}),
        (
            {"inputs": {"columns": ["income", "age"], "data": [[7, 3]]}},
            {"inputs": {"columns": ["income", "age"], "data": [[REDACTED, 3]]}},
        ),
    ],
)
def test_a_hidden_field_is_found_wherever_it_stands(payload: object, expected: object) -> None:
    assert split(payload, frozenset({"income"}), ("age", "income")) == expected


def test_arrays_are_redacted_too() -> None:
    found = split({"inputs": np.array([[3.0, 7.0]])}, frozenset({"income"}), ("age", "income"))
    assert found == {"inputs": [[3.0, REDACTED]]}
