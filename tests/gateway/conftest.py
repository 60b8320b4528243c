"""Gateways with a blob model behind them: one per file, or made to measure."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.conftest import MakeSettings, settings_for_tests
from tests.support.foreign import echo_server
from tests.support.local import Families, LocalServer, serving

__all__ = ["echo_server"]

MakeServer = Callable[..., LocalServer]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a gateway with small limits, shared by the tests of a file."""
    settings = settings_for_tests(
        data_dir=tmp_path_factory.mktemp("data"), max_file_size=200_000, upload_timeout=5
    )
    with serving(settings) as server:
        yield server.client


@pytest.fixture
def make_server(make_settings: MakeSettings) -> Iterator[MakeServer]:
    """Return a maker of gateways, which end with the test."""
    with ExitStack() as stack:

        def make(family: Families = None, *, ready: bool = True, **settings: object) -> LocalServer:
            return stack.enter_context(serving(make_settings(**settings), family, ready=ready))

        yield make
