"""Rows on their way to the engine, and back from it: errors in the caller's own words."""

import re
from dataclasses import dataclass
from typing import Any

from services.core.errors import SlipwayError


@dataclass(frozen=True, slots=True)
class Given:
    """What goes to the engine as `inputs`.

    Attributes:
        inputs: records, rows, columns, nested lists or named tensors.
        inside: where the engine finds what the caller sent: `inputs`, or a part of it.
        where: what the caller calls that: `instances`, `dataframe_split.data`.
    """

    inputs: Any
    inside: str = "inputs"
    where: str = "inputs"

    def told(self, error: SlipwayError) -> SlipwayError:
        """Return an error of the engine with its paths as the caller would write them."""
        for inside in dict.fromkeys((self.inside, "inputs")):
            if inside == self.where:
                break
            # Only whole paths: a column may be called `inputs` too.
            path = re.compile(rf'(?<![\w."\[]){re.escape(inside)}(?![\w"])')
            error.message = path.sub(lambda _: self.where, error.message)
            if error.where is not None:
                error.where = path.sub(lambda _: self.where, error.where, count=1)
        return error
