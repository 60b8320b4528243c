"""Scenes made in processes of their own, while the network learns from the ones before."""

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from services.training.segmenter.scenes import generate_scene
from services.training.segmenter.targets import Target


class _Scenes(Dataset[tuple[Tensor, Target]]):
    def __init__(self, first: int, count: int, size: int) -> None:
        self.first, self.count, self.size = first, count, size

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Target]:
        scene = generate_scene(self.first + index, self.size)
        image = torch.from_numpy(np.ascontiguousarray(scene.image.transpose(2, 0, 1)))
        masks = torch.from_numpy(scene.masks.astype(np.uint8))
        return image, Target(torch.from_numpy(scene.boxes), masks)


def _collate(items: list[tuple[Tensor, Target]]) -> tuple[Tensor, list[Target]]:
    return torch.stack([image for image, _ in items]), [target for _, target in items]


def _one_thread(_: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def feed(
    first: int, count: int, size: int, batch: int, workers: int
) -> Iterator[tuple[Tensor, list[Target]]]:
    """Yield (uint8 images [batch, 3, size, size] RGB, targets) for seeds first, first + 1, ..."""
    loader = DataLoader(
        _Scenes(first, count, size),
        batch_size=batch,
        num_workers=workers,
        collate_fn=_collate,
        drop_last=True,
        prefetch_factor=8 if workers else None,
        worker_init_fn=_one_thread,
    )
    yield from loader
