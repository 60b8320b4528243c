"""The generated scenes: repeatable, correctly labelled, and as varied as training needs."""

import multiprocessing

import numpy as np
import pytest

from services.training.segmenter.scenes import EVALUATION_SEEDS, Scene, generate_scene

SEEDS = range(40)


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [generate_scene(seed) for seed in SEEDS]


def _digest(seed: int) -> tuple[int, int]:
    scene = generate_scene(seed, 128)
    return int(scene.image.astype(np.int64).sum()), int(scene.masks.sum())


def test_the_same_seed_gives_the_same_scene_whatever_came_before(scenes: list[Scene]) -> None:
    for seed in (17, 3):
        again = generate_scene(seed)
        np.testing.assert_array_equal(again.image, scenes[seed].image)
        np.testing.assert_array_equal(again.masks, scenes[seed].masks)


def test_another_process_gives_the_same_scene() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(_digest, [5, 4]) == [_digest(5), _digest(4)]


def test_seeds_and_sizes_give_different_scenes(scenes: list[Scene]) -> None:
    assert len({scene.image.tobytes() for scene in scenes}) == len(scenes)
    assert generate_scene(0, 96).image.shape == (96, 96, 3)


def test_training_never_draws_an_evaluation_seed() -> None:
    assert EVALUATION_SEEDS.start == 10_000_000
    assert len(EVALUATION_SEEDS) == 500


def test_types_and_shapes(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert scene.image.shape == (256, 256, 3)
        assert scene.image.dtype == np.uint8
        assert scene.masks.dtype == np.bool_
        assert scene.masks.shape[1:] == (256, 256)
        assert scene.boxes.dtype == np.float32
        assert scene.boxes.shape == (len(scene.masks), 4)


def test_masks_are_disjoint_and_large_enough_to_see(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert scene.masks.sum(axis=0).max(initial=0) <= 1
        assert (scene.masks.sum(axis=(1, 2)) >= 100).all()


def test_boxes_are_tight(scenes: list[Scene]) -> None:
    for scene in scenes:
        for mask, box in zip(scene.masks, scene.boxes, strict=True):
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            tight = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            np.testing.assert_array_equal(box, np.array(tight, np.float32))


def test_sizes_reach_from_small_to_most_of_the_picture(scenes: list[Scene]) -> None:
    shares = np.concatenate([scene.masks.mean(axis=(1, 2)) for scene in scenes])
    largest = np.array([scene.masks.mean(axis=(1, 2)).max(initial=0) for scene in scenes])
    assert (shares < 0.01).any()
    assert shares.max() > 0.45
    assert 0.3 < (largest > 0.15).mean() < 0.85


def test_some_scenes_hold_many_objects_and_few_hold_none(scenes: list[Scene]) -> None:
    counts = np.array([len(scene.masks) for scene in scenes])
    assert counts.max() >= 15
    assert (counts == 1).any()
    assert (counts == 0).mean() < 0.1


def test_objects_differ_from_their_surroundings(scenes: list[Scene]) -> None:
    """A picture is not blank where its masks are: labels lie on what was painted."""
    contrasts = []
    for scene in scenes:
        for mask in scene.masks:
            inside = scene.image[mask].astype(np.float64).mean(axis=0)
            outside = scene.image[~scene.masks.any(axis=0)].astype(np.float64).mean(axis=0)
            contrasts.append(np.abs(inside - outside).max())
    assert np.median(contrasts) > 20


def test_some_pictures_are_grey(scenes: list[Scene]) -> None:
    grey = [bool((scene.image[..., :1] == scene.image).all()) for scene in scenes]
    assert 1 <= sum(grey) <= len(scenes) // 2
