"""Every version that is in memory, should be, or could not be brought there, and why."""

from services.engine.fleet import Fleet
from services.engine.host import Host
from services.engine.status import IndexEntry, State
from services.registry.catalogue import Identity

_UNLOADED = "unloaded by request; loading it, or promoting another version, brings one back"
_EVICTED = "put out of memory to make room; the next request for it brings it back"
_WAITS = "waits for other loads"
_WITHDRAWN = "was unloaded while it was being loaded; it is closed when that is done"
_ELSEWHERE = "predicted by workers; nothing of it is in this process"
_IDLE = "no version is in production; a request that names a version loads it"


def index(fleet: Fleet) -> list[IndexEntry]:
    """Return one entry for each version, by model and number."""
    with fleet.changed:
        found = [entry for host in fleet.hosts.values() for entry in _of(fleet, host)]
    return sorted(found, key=lambda entry: (entry.name, len(entry.version), entry.version))


def _of(fleet: Fleet, host: Host) -> list[IndexEntry]:
    # What comes first decides: a version may be on its way out and already back again.
    states: dict[Identity, tuple[State, str]] = {}
    for identity in host.versions:
        states[identity] = (State.READY, "")
    if host.loading is not None:
        identity, state = host.loading[0].identity, host.loading[1]
        out = identity in host.unloaded
        states.setdefault(identity, (State.UNLOADING, _WITHDRAWN) if out else (state, ""))
    for ref in fleet.demands.of(host):
        states.setdefault(ref.identity, (State.STARTING, _WAITS))
    for one in fleet.shelf.leaving():
        if one.ref.name == host.name:
            inside = f"{one.in_flight} requests are still in it"
            reason = inside if one.in_flight else "its memory is being given back"
            states.setdefault(one.ref.identity, (State.UNLOADING, reason))
    if host.wanted is not None:
        states.setdefault(host.wanted.identity, _wanted(host))
    for identity in host.unloaded.named():
        states.setdefault(identity, (State.UNLOADED, _UNLOADED))
    for identity, failure in host.failures.items():
        states.setdefault(identity, (State.FAILED, f"failed to load: {failure.reason}"))
    if not states:
        whole = (State.UNLOADED, _UNLOADED)
        states[host.name, "", 0] = whole if host.unloaded.whole else (State.IDLE, _IDLE)
    return [
        IndexEntry(host.name, version, state, reason)
        for (_, version, _), (state, reason) in states.items()
    ]


def _wanted(host: Host) -> tuple[State, str]:
    """Return the state of a version that should serve and is neither here nor on its way."""
    assert host.wanted is not None
    if host.elsewhere:
        return State.READY, _ELSEWHERE
    if host.wanted.identity in host.unloaded:
        return State.UNLOADED, _UNLOADED
    if host.evicted:
        return State.EVICTED, _EVICTED
    if host.failure is not None:
        return State.FAILED, f"failed to load: {host.failure.reason}"
    return State.STARTING, _WAITS
