"""All that one tick has observed of one host, as a value. Deciding needs nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from quiesce.api.drain.record import Try
from quiesce.drain.model.history import History
from quiesce.openstack.records import (
    Aggregate,
    Migration,
    Port,
    Room,
    Server,
    ServerGroup,
    Service,
    moment,
)

# A POST without an answer may still be at work in the API: nothing is repeated meanwhile.
UNKNOWN_FOR = timedelta(seconds=15)
# A service that is forced down is taken to have no process once it has reported nothing for that
# long: many times Nova's own report_interval (10 s) and service_down_time (60 s).
SILENT_FOR = timedelta(minutes=5)


Unread = tuple[str, int, str]
"""A reason, of how many servers something is not known, and what it is, in words."""


@dataclass(frozen=True, slots=True)
class ProofReads:
    """The reads that only the proof needs. None: could not be read, `unproven` says why.

    `consumers`: all that hold something on the host. `evacuated`: those of them that were evacuated
    from it and are healthy elsewhere: Nova releases what they hold here with the service.
    `unwell`: evacuated servers that are not healthy, in words. `unnamed`: by which name placement
    is to be asked is not known. `root`: uuid of the host's resource provider. `providers`: on which
    providers, children of it included, something is held.
    """

    consumers: frozenset[str] | None = None
    provider_exists: bool | None = None
    unproven: tuple[str, ...] = ()
    evacuated: frozenset[str] = frozenset()
    unwell: tuple[str, ...] = ()
    unnamed: bool = False
    root: str = ""
    providers: tuple[str, ...] = ()

    @property
    def held(self) -> frozenset[str]:
        """Consumers that speak against an empty host."""
        return (self.consumers or frozenset()) - self.evacuated


@dataclass(frozen=True, slots=True)
class PlanReads:
    """What a plan needs besides. `capacity` None: placement could not be asked.

    `members`: the hosts of server group members elsewhere, by server ID.
    """

    capacity: tuple[Room, ...] | None = None
    members: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Paths:
    """Whether the keyring that the spec names has proven the host's SSH paths; without one they are
    taken as proven. `unchecked`: address that a failed migration copied to, and that the keyring
    does not check -> what to do about it.
    """

    proven: bool = True
    text: str = ""
    unchecked: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observation:
    """What Nova, Placement, Neutron and the host itself show in one tick.

    `servers`: every server on the host, read in this tick, soft-deleted ones included. In a poll
    (`whole` False) as listed some seconds ago, less those seen elsewhere since; before the drain's
    first write they may be unread (`whole` False as well). `migrations`: of this host as source or
    destination, newest first: all above `found_migration`, and others that at the last full list
    were not terminal, had failed since the drain began, or tell where a server of the host has
    gone. `unchanged`: they were not read in this tick, because none has changed. `read`: IDs of
    those of the host that were read by themselves in this poll. `elsewhere`: servers that left with
    an unfinished or failed migration of this host; None where the server is gone. `ports` None: the
    cloud has no network service.
    `unreadable`: server ID -> why a server that left cannot be read. `idle_ports`: server ID -> IDs
    of its ports on the host that do not work, as far as servers are to be moved. `ports_error`: why
    ports could not be read; empty: they were.
    `unreachable`: server ID -> why no address of it takes a connection. `progressing`: live
    migrations over their time that still make progress. `aggregates` None: not read in this tick.
    `running`: server ID -> whether its hypervisor says that it runs, where that was asked;
    `silent`: servers of which it was asked, and did not answer.
    `misplaces`: Nova may leave a server on its source whose live migration failed at its end.
    `stopped_by_user`: servers that a user, not Nova, has stopped since their try began.
    `set_by`: how far the machine's clock is ahead of that of `now`, which nobody sets.
    `node`, `address`: name and `host_ip` of the hypervisor. `unit`: how nova-compute was found on
    the host, before it is stopped for the first time. `unread`: what a plan cannot know.
    """

    now: datetime
    host: str
    user_id: str
    service: Service | None
    services: tuple[Service, ...]
    servers: tuple[Server, ...] = ()
    whole: bool = True
    migrations: tuple[Migration, ...] = ()
    unchanged: bool = False
    read: frozenset[str] = frozenset()
    elsewhere: Mapping[str, Server | None] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[ServerGroup, ...] = ()
    ports: tuple[Port, ...] | None = ()
    idle_ports: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ports_error: str = ""
    unreachable: Mapping[str, str] = field(default_factory=dict)
    progressing: frozenset[int] = frozenset()
    running: Mapping[str, bool] = field(default_factory=dict)
    silent: frozenset[str] = frozenset()
    misplaces: bool = False
    stopped_by_user: frozenset[str] = frozenset()
    set_by: timedelta = timedelta(0)
    aggregates: tuple[Aggregate, ...] | None = None
    node: str | None = None
    address: str | None = None
    proof: ProofReads | None = None
    plan: PlanReads | None = None
    unit: str | None = None
    paths: Paths = Paths()
    unread: tuple[Unread, ...] = ()
    history: History = field(default_factory=History)

    @property
    def wall(self) -> datetime:
        """The time of day, for what people read and for what others have written."""
        return self.now + self.set_by

    @property
    def service_is_down(self) -> bool:
        """Nova takes the host's nova-compute for down: it moves and confirms nothing."""
        return self.service is not None and self.service.state == "down"

    @property
    def compute_is_down(self) -> bool:
        """nova-compute itself does not report to Nova.

        Of a service that is forced down Nova does not say so. But a process that runs goes on
        writing its row (nova/servicegroup/drivers/db.py _report_state): it is silent once that has
        not changed for SILENT_FOR.
        """
        if self.service is None or self.service.state != "down":
            return False
        reported, since = self.history.report or ("", self.now)
        silent = reported == self.service.reported != "" and self.now - since >= SILENT_FOR
        return silent if self.service.forced_down else True

    @property
    def newest_migration(self) -> int:
        return max((m.id for m in self.migrations), default=0)

    @property
    def looks_empty(self) -> bool:
        """The cheap reads speak for an empty host, so that the expensive ones of the proof are
        worth their while.
        """
        return not self.servers and all(m.terminal for m in self.migrations)

    def awaits_answer(self, server_id: str) -> bool:
        """The last call for the server was not answered, and may still take effect."""
        asked = self.history.unanswered.get(server_id)
        return asked is not None and self.now - asked <= UNKNOWN_FOR

    def began(self, server_id: str, told: str) -> datetime:
        """When a try began by the clock of `now`, which the status tells as `told`. It was written
        by a clock that may have been set since: one that seems to begin later begins now.
        """
        known = self.history.tries.get((server_id, told))
        return known or min(self.now, (moment(told) or self.wall) - self.set_by)

    def begun(self, tries: Mapping[str, Try]) -> Mapping[tuple[str, str], datetime]:
        """For the history: so a clock that is set from now on does not matter to them."""
        return {(id_, each.began): self.began(id_, each.began) for id_, each in tries.items()}

    def is_up(self, host: str | None) -> bool:
        """Whether nova-compute of any host reports to Nova."""
        return any(s.host == host and s.state == "up" for s in self.services)
