"""What the small PyTorch networks share: threads, saving, and one way to train a classifier."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from services.core.errors import CheckpointError
from services.families.base import Report

WEIGHTS = "model.safetensors"
# Rows that go through a network at once: bounds the memory of a large request.
_CHUNK = 256
# Of all steps, the share in which the learning rate rises; then it falls along a cosine.
_RISING = 0.2
_WEIGHT_DECAY = 0.01
_SMOOTHING = 0.05

# Changes pictures [N, C, H, W] at random, drawing from the given generator only.
Augment = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train: highest learning rate, passes over the data, pictures of one step, seed."""

    learning_rate: float
    epochs: int
    batch_size: int
    seed: int

    @classmethod
    def of(cls, params: Mapping[str, Any], seed: int) -> "Recipe":
        """Take the recipe from a family's parameters."""
        return cls(
            float(params["learning_rate"]), int(params["epochs"]), int(params["batch_size"]), seed
        )


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch compute with `count` threads in this thread, for as long as the block lasts.

    A network of microseconds is slowed a hundredfold by sharing its work out, as soon as another
    process wants the core that it waits for; and sums depend on how they were shared out.
    """
    before = torch.get_num_threads()
    if before == count:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def save(network: nn.Module, folder: Path) -> None:
    """Write the network's weights into a folder, as safetensors."""
    tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(tensors, str(folder / WEIGHTS))


def load(network: nn.Module, folder: Path) -> None:
    """Read what `save` wrote into a network of the same architecture.

    Raises:
        CheckpointError: the file is missing, damaged, not finite, or of another architecture.
    """
    try:
        tensors = load_file(str(folder / WEIGHTS))
    except (OSError, SafetensorError, ValueError) as error:
        raise _unusable("cannot be read") from error
    if any(value.is_floating_point() and not value.isfinite().all() for value in tensors.values()):
        raise _unusable("hold numbers that are not finite")
    try:
        network.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        raise _unusable("do not fit the network") from error


def _unusable(what: str) -> CheckpointError:
    return CheckpointError(
        f"The weights in {WEIGHTS!r} {what}.",
        where=WEIGHTS,
        expected="the file that training saved, with the configuration saved beside it",
    )


def probabilities(network: nn.Module, pictures: NDArray[Any]) -> NDArray[np.float32]:
    """Return the probability of each class, float32 [N, classes], for pictures [N, ...]."""
    with threads(1), torch.inference_mode():
        given = torch.from_numpy(pictures)
        parts = [network(part).softmax(1) for part in given.split(_CHUNK)]
        whole = parts[0] if len(parts) == 1 else torch.cat(parts)
        return np.asarray(whole.numpy(), dtype=np.float32)


def train(
    build: Callable[[], nn.Module],
    pictures: Tensor,
    labels: Tensor,
    recipe: Recipe,
    augment: Augment,
    report: Report,
) -> nn.Module:
    """Train a classifier; the same arguments give the same weights on the same machine.

    Args:
        build: makes the network, with random weights from torch's global generator.
        pictures: [N, ...], as the network and `augment` take them.
        labels: int64 [N].
        recipe: how.
        augment: applied anew to every batch.
        report: given `loss` and `train_accuracy` after each epoch.
    """
    with threads(1), torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = build().train()
        generator = torch.Generator().manual_seed(recipe.seed)
        steps = -(-len(pictures) // recipe.batch_size)
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=recipe.learning_rate, weight_decay=_WEIGHT_DECAY
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser,
            recipe.learning_rate,
            total_steps=steps * recipe.epochs + 1,
            pct_start=_RISING,
        )
        for epoch in range(recipe.epochs):
            total = torch.zeros(2)
            for index in torch.randperm(len(pictures), generator=generator).chunk(steps):
                given = augment(pictures[index], generator)
                total += _step(network, optimiser, given, labels[index])
                schedule.step()
            loss, right = (total / len(pictures)).tolist()
            report(epoch + 1, recipe.epochs, {"loss": loss, "train_accuracy": right})
    return network.eval()


def _step(
    network: nn.Module, optimiser: torch.optim.Optimizer, pictures: Tensor, labels: Tensor
) -> Tensor:
    """Learn from one batch; return the sums over it of the loss and of right answers."""
    optimiser.zero_grad()
    logits = network(pictures)
    loss = nn.functional.cross_entropy(logits, labels, label_smoothing=_SMOOTHING)
    loss.backward()
    optimiser.step()
    right = (logits.detach().argmax(1) == labels).sum()
    return torch.stack((loss.detach() * len(labels), right.float()))


def memory(network: nn.Module) -> int:
    """Return the bytes that the network's tensors take."""
    return sum(value.numel() * value.element_size() for value in network.state_dict().values())


def scores(truth: Any, found: Any) -> dict[str, float]:
    """Return `accuracy`, and `precision`, `recall` and `f1` as means over the classes."""
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    precision, recall, f1, _ = precision_recall_fscore_support(
        truth, found, average="macro", zero_division=0
    )
    return {
        "accuracy": float(accuracy_score(truth, found)),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
    }
