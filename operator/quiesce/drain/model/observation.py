"""All that one tick has seen of one host, as a value. Deciding needs nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from quiesce.openstack.records import Aggregate, Migration, Port, Room, Server, ServerGroup, Service


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a migration failed, in Nova's words; `seen` is when this process first saw the failure.

    `final` False: Nova has not written the cause down yet.
    """

    text: str
    seen: datetime
    final: bool = True


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nova said no to a call for a server or the host: what was asked, in whose words, how often in a row, and when last."""

    call: str
    status: int
    text: str
    count: int
    at: datetime


@dataclass(frozen=True, slots=True)
class HostTrouble:
    """nova-compute could not be looked at, stopped or, `starting`, started over SSH; `person`: somebody must change something."""

    reason: str
    text: str
    person: bool
    count: int
    at: datetime
    starting: bool = False


@dataclass(frozen=True, slots=True)
class ProofReads:
    """The reads that only the proof needs. None: could not be read, `unproven` says why."""

    consumers: frozenset[str] | None = None
    provider_exists: bool | None = None
    unproven: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Paths:
    """Whether the host's SSH paths for cold migration are proven, by the keyring that the spec names; without one they are."""

    proven: bool = True
    text: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at one host.

    `servers`: every server on the host, read in this tick, soft-deleted ones included; of a
    glance (`whole` False) as listed some seconds ago, less those seen elsewhere since. Before
    the drain's first write they may be unread (`whole` False as well).
    `migrations`: of this host as source or destination: all above `found_migration`, and
    all others that were not terminal at the last full sweep. `elsewhere`: servers that left
    with an unfinished or failed migration of this host; None where the server is gone.

    `planning`: a plan is to be made; `rooms` are what it needs of placement (None: not to be
    had), `members` the hosts of server group members elsewhere.

    `unit`: how nova-compute was found on the host, looked at in this tick before it is stopped
    for the first time.

    What this process remembers from tick to tick (never needed for safety, gone after a
    restart): `names` of servers, and how
    each `was` when its move began (the status has it too, but loses it with an incomplete list);
    `seen`, when a migration was first seen in its present
    status; `held_since`, since when a consumer is seen to hold something on the host that is
    else empty; `idle_since`, since when a server with an open migration stands idle on the host;
    `busy_since`, since when one on the host is seen in a task, by its id and the task;
    `endings` of failed migrations; `told_to_end`, when a live one was last aborted or forced;
    `unknown`, calls whose answer never came; `refusals`, by server id, and by the words of a call for the host itself.
    """

    now: datetime
    host: str
    user_id: str
    service: Service | None
    services: tuple[Service, ...]
    servers: tuple[Server, ...] = ()
    whole: bool = True
    migrations: tuple[Migration, ...] = ()
    elsewhere: Mapping[str, Server | None] = field(default_factory=dict)
    groups: tuple[ServerGroup, ...] = ()
    ports: tuple[Port, ...] | None = ()
    unreachable: Mapping[str, str] = field(default_factory=dict)
    progressing: frozenset[int] = frozenset()
    aggregates: tuple[Aggregate, ...] | None = None
    node: str | None = None
    address: str | None = None
    """`host_ip` of the host's hypervisor, read with `node`; None where Nova shows none."""
    proof: ProofReads | None = None
    rooms: tuple[Room, ...] | None = None
    planning: bool = False
    members: Mapping[str, str] = field(default_factory=dict)
    unit: str | None = None
    paths: Paths = Paths()
    names: Mapping[str, str] = field(default_factory=dict)
    was: Mapping[str, str] = field(default_factory=dict)
    seen: Mapping[tuple[int, str], datetime] = field(default_factory=dict)
    held_since: Mapping[str, datetime] = field(default_factory=dict)
    idle_since: Mapping[str, datetime] = field(default_factory=dict)
    busy_since: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    endings: Mapping[int, Ending] = field(default_factory=dict)
    unknown: Mapping[str, datetime] = field(default_factory=dict)
    refusals: Mapping[str, Refusal] = field(default_factory=dict)
    told_to_end: Mapping[int, datetime] = field(default_factory=dict)
    clean_since: datetime | None = None
    stopped_at: datetime | None = None
    started_again: datetime | None = None
    host_trouble: HostTrouble | None = None
