"""What the tests of rollout share: models in a real registry."""

from tests.support.versions import shelf

__all__ = ["shelf"]
