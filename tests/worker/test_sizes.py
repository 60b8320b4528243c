"""How many are taken at once follows what a model takes."""

import pytest

from services.worker.board import Board
from services.worker.sizes import Sizes

KEY = ("model", None, None)


def test_one_until_something_is_known() -> None:
    assert Sizes().size(KEY) == 1


def test_quick_models_grow_by_doubling_to_a_limit() -> None:
    sizes = Sizes()
    taken = []
    for _ in range(8):
        taken.append(sizes.size(KEY))
        sizes.learn(KEY, taken[-1], 0.0001 * taken[-1])
    assert taken == [1, 2, 4, 8, 16, 32, 64, 64]


@pytest.mark.parametrize(("seconds", "most"), [(0.1, 2), (0.05, 5), (0.2, 1), (3.0, 1)])
def test_a_take_stays_within_a_quarter_of_a_second(seconds: float, most: int) -> None:
    sizes = Sizes()
    for _ in range(8):
        size = sizes.size(KEY)
        sizes.learn(KEY, size, seconds * size)
    assert sizes.size(KEY) == most


def test_what_becomes_slow_is_taken_alone_at_once() -> None:
    sizes = Sizes()
    for _ in range(8):
        size = sizes.size(KEY)
        sizes.learn(KEY, size, 0.001 * size)
    sizes.learn(KEY, 64, 64.0)
    assert sizes.size(KEY) == 1


def test_names_from_outside_do_not_fill_the_memory() -> None:
    sizes = Sizes()
    for number in range(1000):
        sizes.learn(("model", str(number), None), 1, 0.001)
    assert sizes.size(("model", "999", None)) == 2
    assert len(sizes._paces) <= 256


def test_the_board_knows_who_is_at_work() -> None:
    board = Board(2)
    assert (board.busy, board.stuck(-1)) == (0, [])
    board.begin(1)
    assert board.busy == 1
    assert len(board.stuck(-1)) == 1
    assert board.stuck(10) == []
    assert board.idle == 0
    board.end(1)
    assert board.busy == 0
