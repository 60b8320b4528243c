"""From checked inputs to what an estimator takes: an array, or a table where columns have names."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.core.signature import Signature
from services.core.signature.validate import Checked

_NUMERIC = "biuf"


class Builder:
    """Builds the input of one estimator."""

    def __init__(self, signature: Signature, estimator: Any) -> None:
        self.labels = [
            position if field.label is None else field.label
            for position, field in enumerate(signature.inputs)
        ]
        # scikit-learn remembers names only of tables that it was fitted on, and wants them back.
        self.table = hasattr(estimator, "feature_names_in_") or any(
            field.type in ("string", "datetime", "binary") for field in signature.inputs
        )

    def build(self, parts: Sequence[Checked]) -> Any:
        """Return the rows of all parts: an array [rows, columns], or a pandas table."""
        if not self.table:
            arrays = [self._array(part) for part in parts]
            return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        import pandas as pd

        tables = [self._table(part) for part in parts]
        return tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)

    def _array(self, part: Checked) -> NDArray[Any]:
        if part.matrix is not None:
            return part.matrix
        missing = np.full(part.rows, np.nan)
        columns = [part.columns.get(label, missing) for label in self.labels]
        if all(column.dtype.kind in _NUMERIC for column in columns):
            return np.stack([column.astype(np.float64) for column in columns], axis=1)
        return np.stack([column.astype(object) for column in columns], axis=1)

    def _table(self, part: Checked) -> Any:
        import pandas as pd

        if part.matrix is not None:
            return pd.DataFrame(part.matrix, columns=self.labels)
        table = pd.DataFrame(dict(part.columns))
        return (
            table if len(part.columns) == len(self.labels) else table.reindex(columns=self.labels)
        )
