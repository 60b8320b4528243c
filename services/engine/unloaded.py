"""Which versions of one model stay out of memory because somebody said so."""

from services.registry.catalogue import Identity


class Unloaded:
    """A set of versions, or of all versions but some. Guarded by the fleet's lock.

    It is kept in this process only: after a restart the registry alone decides again.
    """

    def __init__(self) -> None:
        self.whole = False
        # Those that are out; of a whole model those that were loaded again.
        self._named: set[Identity] = set()

    def add_all(self) -> None:
        """The model as a whole stays out, versions that nobody has asked for yet included."""
        self.whole = True
        self._named.clear()

    def clear(self) -> None:
        """Nothing stays out."""
        self.whole = False
        self._named.clear()

    def add(self, identity: Identity) -> None:
        """One version stays out."""
        (self._named.discard if self.whole else self._named.add)(identity)

    def discard(self, identity: Identity) -> None:
        """One version may come back."""
        (self._named.add if self.whole else self._named.discard)(identity)

    def promoted(self, identity: Identity) -> None:
        """Another version than before was promoted: it is wanted, whatever was said before."""
        if self.whole:
            self.clear()
        self._named.discard(identity)

    def named(self) -> list[Identity]:
        """Return the versions that were unloaded one by one."""
        return [] if self.whole else sorted(self._named)

    def __contains__(self, identity: Identity) -> bool:
        return (identity in self._named) != self.whole
