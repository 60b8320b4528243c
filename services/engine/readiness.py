"""Whether the service can serve, and what to say about it."""

from typing import Any

from services.core.settings import Settings
from services.engine.fleet import Fleet
from services.engine.host import Host
from services.engine.status import State


class Readiness:
    """Judges the fleet for probes and for people.

    Args:
        with_source: a registry is followed, so that a model which failed may yet be replaced.
    """

    def __init__(self, settings: Settings, fleet: Fleet, *, with_source: bool) -> None:
        self._required = settings.required_models
        self._fleet = fleet
        self._with_source = with_source

    def not_ready(self) -> str | None:
        """Return why the service cannot serve now, or None when it can."""
        with self._fleet.changed:
            return self._not_ready()

    def health(self) -> dict[str, Any]:
        """Return `status`, `reason` (None where all is well), and `models` by name."""
        with self._fleet.changed:
            reason = self._not_ready()
            hosts = list(self._fleet.hosts.values())
            models = {host.name: _model(host) for host in hosts}
            failed = [host for host in hosts if host.failure is not None]
        if reason is None:
            status = "degraded" if failed else "healthy"
            if failed and failed[0].failure is not None:
                reason = f"The model {failed[0].name} failed to load: {failed[0].failure.reason}"
        else:
            status = "failed" if failed and not self._fleet.first else "starting"
        return {"status": status, "reason": reason, "models": models}

    def _not_ready(self) -> str | None:
        fleet = self._fleet
        if not fleet.listed:
            return "The service is starting."
        if not fleet.followed:
            return "The registry has not been read yet."
        hosts = fleet.hosts
        missing = [name for name in self._required if not _serves(hosts.get(name))]
        if missing:
            return _why(missing[0], hosts.get(missing[0]))
        if not self._with_source:
            late = [host for host in hosts.values() if not _as_it_should(host)]
            return _why(late[0].name, late[0]) if late else None
        if self._required:
            return None
        # Only the loads that the start began with: a model registered later holds up nobody.
        for name in fleet.first:
            return _why(name, hosts.get(name))
        if any(_as_it_should(host) for host in hosts.values()):
            return None
        failed = [host for host in hosts.values() if host.state is State.FAILED]
        return _why(failed[0].name, failed[0]) if failed else "No model is in production."


def _serves(host: Host | None) -> bool:
    return host is not None and host.state in (State.READY, State.EVICTED)


def _as_it_should(host: Host) -> bool:
    """Whether a model serves, or was unloaded by request."""
    return _serves(host) or host.state is State.UNLOADED


def _why(name: str, host: Host | None) -> str:
    if host is None:
        return f"The model {name} is not registered."
    if host.state is State.FAILED and host.failure is not None:
        return f"The model {name} failed to load: {host.failure.reason}"
    if host.state is State.UNLOADED:
        return f"The model {name} was unloaded by request."
    if host.state is State.IDLE:
        return f"No version of the model {name} is in production."
    return f"The model {name} is {host.state}."


def _model(host: Host) -> dict[str, Any]:
    failure = host.failure
    return {
        "state": str(host.state),
        "version": host.answers,
        "failure": None if failure is None else failure.reason,
    }
