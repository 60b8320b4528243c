"""The one system that all these tests ask."""

import os
from collections.abc import Iterator

import pytest

from tests.seeds.system import System, has_curl


@pytest.fixture(scope="package")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Return a gateway over a registry with small models."""
    if not has_curl():
        # Continuous integration installs it.
        assert os.environ.get("CI") != "true", "curl is missing"
        pytest.skip("curl is not installed")
    system = System(tmp_path_factory.mktemp("seeds"))
    yield system
    system.stop()
