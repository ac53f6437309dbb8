"""PURE. Nova's answers as frozen values: only what is used; names as in Nova's API.

`read` raises Misread, or KeyError, where a row is not as the API describes it.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from quiesce.openstack.fields import (
    Misread,
    host,
    id_of,
    items,
    known_host,
    mapping,
    moment,
    number,
    optional_id,
    optional_number,
    optional_text,
    part,
    plain_host,
    short_texts,
    shown,
    text,
    texts,
)

__all__ = ["moment"]

# `migration.status` values after which Nova itself regards a migration as over. Every other one
# keeps a compute service from being deleted; `finished` and `confirming` among them
# (nova/db/main/api.py migration_get_in_progress_by_host_and_node).
TERMINAL = frozenset({"confirmed", "reverted", "error", "failed", "completed", "cancelled", "done"})
FAILED = frozenset({"error", "failed", "cancelled", "reverted"})
SUCCEEDED = frozenset({"confirmed", "completed"})
# A live migration that Nova has not begun yet: it runs few at a time
# ([compute]max_concurrent_live_migrations, 1 by default).
WAITING = frozenset({"accepted", "queued", "preparing"})

_LONGEST_FAULT, _LONGEST_WORD = 500, 300  # characters
_MOST_VCPUS = 4096  # more than any hypervisor gives a guest
# nova/compute/power_state.py
NOSTATE, RUNNING, PAUSED, SHUTDOWN = 0, 1, 3, 4


_ASKED_OF_IMAGES = frozenset(
    {
        "hw_cpu_policy",
        "hw_cpu_realtime_mask",
        "hw_cpu_thread_policy",
        "hw_mem_encryption",
        "hw_tpm_version",
    }
)
"""Properties that decide anything, besides traits; all others are not kept."""


def _asked(properties: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {
        name: value
        for name, value in properties
        if name in _ASKED_OF_IMAGES or name.startswith("trait:")
    }


def _words(row: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = items(row, name)
    if not all(isinstance(each, str) and len(each) <= _LONGEST_WORD for each in found):
        raise Misread(f"{name} is no list of names")
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Service:
    """A nova-compute of `GET /os-services`.

    `status`: enabled|disabled, UNKNOWN while its cell is down; `state`: up|down. `forced_down`: an
    administrator or a tool has set it to down, whatever the process does (nova/servicegroup/api.py
    service_is_up). `reported`: when its row was last written, by the reports of a running process
    or by a change of the row itself; two rows that differ in nothing else are equal.
    """

    id: str
    host: str
    status: str
    state: str
    disabled_reason: str | None
    forced_down: bool = False
    zone: str = ""
    reported: str = field(default="", compare=False)

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        # A cell that is down gives rows without most keys (microversion 2.69).
        # The reason of another user is written back as it was, so it is not cleaned here.
        row = mapping(row)
        return cls(
            id=optional_id(row, "id"),
            host=known_host(row, "host"),
            status=optional_text(row, "status") or "UNKNOWN",
            state=optional_text(row, "state") or "unknown",
            disabled_reason=optional_text(row, "disabled_reason"),
            forced_down=bool(row.get("forced_down")),
            zone=optional_text(row, "zone") or "",
            reported=optional_text(row, "updated_at") or "",
        )


@dataclass(frozen=True, slots=True)
class Flavor:
    """The flavor in a server (2.47). Memory and swap in MiB, disk in GiB (root + ephemeral)."""

    vcpus: int = 1
    ram: int = 0
    disk: int = 0
    swap: int = 0
    extra_specs: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        return cls(
            vcpus=min(optional_number(row, "vcpus", 1), _MOST_VCPUS),
            ram=optional_number(row, "ram"),
            disk=optional_number(row, "disk") + optional_number(row, "ephemeral"),
            swap=optional_number(row, "swap"),
            extra_specs=texts(row, "extra_specs"),
        )


@dataclass(frozen=True, slots=True)
class Server:
    """One row of `GET /servers/detail`.

    `host` is OS-EXT-SRV-ATTR:host: None where no compute has it. `launched`: when its guest was
    last made on a host: by its build, a cold migration, an unshelve; not by a live migration.
    `partial`: its cell is down, so that Nova shows its id and project and little else (microversion
    2.69, api/openstack/compute/views/servers.py _show_from_down_cell). `volumes`: IDs of the
    attached ones; `encrypted`: those of them that Cinder encrypts, None where it does not answer.
    `snapshot`: of a SHELVED one whether Glance has the image of its disk, None where Glance does
    not answer. `image_read` False: what its image asked for is not known now, because Glance does
    not answer, or Cinder for the image of its boot volume.
    """

    id: str
    name: str
    status: str
    task_state: str | None
    power_state: int
    host: str | None
    locked: bool = False
    fault: str | None = None
    flavor: Flavor = field(default_factory=Flavor)
    volume_backed: bool = False
    image_properties: Mapping[str, str] = field(default_factory=dict)
    zone_pinned: str | None = None
    addresses: tuple[str, ...] = ()
    project_id: str = ""
    launched: datetime | None = None
    image_id: str = ""
    volumes: tuple[str, ...] = ()
    encrypted: tuple[str, ...] | None = ()
    snapshot: bool | None = True
    image_read: bool = True
    partial: bool = False

    @property
    def idle(self) -> bool:
        """Nova is doing nothing with it, as far as it shows."""
        busy = ("RESIZE", "MIGRATING", "REVERT_RESIZE")
        return not self.partial and self.task_state is None and self.status not in busy

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        """Raises KeyError where the host attribute is missing: the user may not see hosts."""
        row = mapping(row)
        status, own_id = text(row, "status"), id_of(row, "id")
        name, project = shown(row, "name") or own_id, optional_text(row, "tenant_id") or ""
        if status == "UNKNOWN" and "OS-EXT-SRV-ATTR:host" not in row:
            return cls(own_id, name, status, None, NOSTATE, None, project_id=project, partial=True)
        image = part(row, "image")
        return cls(
            id=own_id,
            name=name,
            status=status,
            task_state=optional_text(row, "OS-EXT-STS:task_state"),
            power_state=optional_number(row, "OS-EXT-STS:power_state"),
            host=host(row, "OS-EXT-SRV-ATTR:host"),
            locked=bool(row.get("locked")),
            fault=shown(part(row, "fault"), "message", _LONGEST_FAULT),
            flavor=Flavor.read(part(row, "flavor")),
            volume_backed=not image,
            image_properties=_asked(texts(image, "properties").items()),
            zone_pinned=optional_text(row, "pinned_availability_zone"),
            addresses=tuple(_addresses(part(row, "addresses"))),
            project_id=project,
            launched=moment(row.get("OS-SRV-USG:launched_at")),
            image_id=optional_id(image, "id"),
            volumes=tuple(_ids(row, "os-extended-volumes:volumes_attached")),
        )


def _addresses(networks: Mapping[str, Any]) -> Iterator[str]:
    for name in networks:
        for row in items(networks, name):
            address = text(mapping(row, "an address"), "addr")
            try:
                ipaddress.ip_address(address)
            except ValueError as error:
                raise Misread("addr is no IP address") from error
            yield address


def _ids(row: Mapping[str, Any], name: str) -> Iterator[str]:
    for each in items(row, name):
        if "id" in mapping(each, "a volume"):
            yield id_of(each, "id")


ROWS_FOR_ONE = 25
"""Rows of others in a list of servers that cost Nova as much as a request for one of them."""


def cheaper_one_by_one(servers: int, listed: int) -> bool:
    """Whether so many servers cost Nova less each by itself than in a list of so many rows."""
    return servers <= listed // ROWS_FOR_ONE


@dataclass(frozen=True, slots=True)
class Migration:
    """One row of `GET /os-migrations` (2.80).

    `type`: migration (cold), resize, live-migration, evacuation. `user_id`: who started it. `id`
    grows within a cell, so it orders the migrations of one host without any clock. `dest_node`: the
    hypervisor of `dest`, by its own name.
    """

    id: int
    uuid: str
    server_id: str
    type: str
    status: str
    source: str | None
    dest: str | None
    user_id: str | None
    created: datetime
    updated: datetime | None = None
    dest_node: str | None = None

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        row = mapping(row)
        return cls(
            id=number(row, "id"),
            uuid=id_of(row, "uuid"),
            server_id=id_of(row, "instance_uuid"),
            type=text(row, "migration_type"),
            status=text(row, "status"),
            source=host(row, "source_compute"),
            dest=host(row, "dest_compute"),
            user_id=optional_text(row, "user_id"),
            created=moment(row["created_at"]) or datetime.fromtimestamp(0, UTC),
            updated=moment(row.get("updated_at")),
            dest_node=plain_host(row, "dest_node"),
        )

    @property
    def terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def live(self) -> bool:
        return self.type == "live-migration"


@dataclass(frozen=True, slots=True)
class ActionEvents:
    """One instance action and the text of its first failed event (`details` since 2.84).

    `open`: none has failed, and one has not ended yet.
    """

    request_id: str
    action: str
    started: datetime
    failed_event: str | None
    details: str | None
    open: bool

    @classmethod
    def read(cls, row: Mapping[str, Any], request_id: str) -> Self:
        events = [mapping(each, "an event") for each in items(mapping(row), "events")]
        failures = [each for each in events if each.get("result") not in ("Success", None)]
        failed = failures[0] if failures else {}
        started = moment(row["start_time"])
        if started is None:
            raise Misread("it has no start time")
        return cls(
            request_id,
            text(row, "action"),
            started,
            optional_text(failed, "event"),
            _details(failures),
            not failed and any(each.get("result") is None for each in events),
        )


def _details(failures: list[Mapping[str, Any]]) -> str | None:
    """The message of the step that failed last, and of the one around it if that says more.

    Newest first (nova/db/main/api.py action_events_get): where every host rejects a live migration,
    each check is a failed step, and the step around them has what became of it.
    """
    told = [shown(each, "details", _LONGEST_FAULT) for each in (failures[-1:] + failures[:1])]
    texts = [each for each in told if each]
    if len(set(texts)) < 2:
        return texts[-1] if texts else None
    return f"{texts[0].rstrip('.')}; last: {texts[-1]}"


@dataclass(frozen=True, slots=True)
class InstanceAction:
    """One row of `GET /servers/{id}/os-instance-actions`. `user_id` None: Nova did it by itself."""

    action: str
    request_id: str
    user_id: str | None
    started: datetime

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self | None:
        """None where it has no start time."""
        row = mapping(row)
        started = moment(row["start_time"])
        user = optional_text(row, "user_id")
        found = text(row, "action"), optional_id(row, "request_id")
        return None if started is None else cls(*found, user, started)


@dataclass(frozen=True, slots=True)
class Confirmed:
    """An instance action confirmResize. `user_id` None: Nova did it by itself."""

    started: datetime
    user_id: str | None


@dataclass(frozen=True, slots=True)
class LiveProgress:
    """A running live migration's counters (`GET /servers/{id}/migrations`), bytes. `total` 0: Nova
    does not show how much there is to copy.
    """

    migration_id: int
    status: str
    processed: int
    remaining: int
    total: int = 0

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        """Memory and disk together."""
        row = mapping(row)
        done, left, total = (
            sum(optional_number(row, f"{of}_{what}_bytes") for of in ("memory", "disk"))
            for what in ("processed", "remaining", "total")
        )
        return cls(number(row, "id"), text(row, "status"), done, left, total)

    @property
    def percent(self) -> int | None:
        """Of what there is to copy, how much need not be copied any more; None: not shown. It falls
        where the guest writes to its memory faster than that is copied.
        """
        if self.total <= 0:
            return None
        return min(100, max(0, 100 * (self.total - self.remaining) // self.total))


@dataclass(frozen=True, slots=True)
class Aggregate:
    id: int
    name: str
    zone: str | None
    hosts: tuple[str, ...]

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        row = mapping(row)
        return cls(
            number(row, "id"),
            text(row, "name"),
            optional_text(row, "availability_zone"),
            _words(row, "hosts"),
        )


@dataclass(frozen=True, slots=True)
class ServerGroup:
    """A server group with a hard policy rule: `affinity` or `anti-affinity`.

    `most`: members that anti-affinity allows on one host (rule max_server_per_host, 2.64).
    """

    id: str
    name: str
    policy: str
    members: frozenset[str]
    most: int = 1

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        row = mapping(row)
        return cls(
            id_of(row, "id"),
            shown(row, "name") or "",
            text(row, "policy"),
            frozenset(_words(row, "members")),
            optional_number(part(row, "rules"), "max_server_per_host") or 1,
        )


@dataclass(frozen=True, slots=True)
class Hypervisor:
    """One row of `GET /os-hypervisors/detail`.

    `host`: of its service. `host_ip`: where Nova migrates to by default. `type`: of the virt
    driver, as it names itself (QEMU, ironic, …).
    """

    hypervisor_hostname: str
    host: str
    host_ip: str
    type: str = ""

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        row = mapping(row)
        return cls(
            text(row, "hypervisor_hostname"),
            known_host(part(row, "service"), "host"),
            optional_text(row, "host_ip") or "",
            optional_text(row, "hypervisor_type") or "",
        )


@dataclass(frozen=True, slots=True)
class Port:
    """A Neutron port of a server: `status` ACTIVE|DOWN|…, `bound_to` is binding:host_id.

    `enabled`: its admin_state_up; a port that is administratively down is DOWN.
    """

    id: str
    server_id: str
    status: str
    bound_to: str | None
    vif_type: str | None
    enabled: bool = True

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        row = mapping(row)
        return cls(
            id_of(row, "id"),
            text(row, "device_id"),
            text(row, "status"),
            optional_text(row, "binding:host_id"),
            optional_text(row, "binding:vif_type"),
            row.get("admin_state_up") is not False,
        )

    @property
    def unbound(self) -> bool:
        return self.vif_type in ("binding_failed", "unbound")

    @property
    def works(self) -> bool:
        return self.status == "ACTIVE" and not self.unbound


@dataclass(frozen=True, slots=True)
class Holdings:
    """What consumers hold on one hypervisor by placement.

    `root`: uuid of its root provider. `by_consumer`: consumer uuid -> uuids of the providers, of
    the root and below, on which it holds something.
    """

    root: str
    by_consumer: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Volume:
    """A Cinder volume. `image_properties`: those it was made with, of one that a server boots
    from.
    """

    id: str
    encrypted: bool
    image_properties: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        row = mapping(row)
        boots = str(row.get("bootable")).lower() == "true"
        properties = texts(row, "volume_image_metadata") if boots else {}
        return cls(id_of(row, "id"), bool(row["encrypted"]), _asked(properties.items()))


@dataclass(frozen=True, slots=True)
class Image:
    """What a Glance image asks for."""

    id: str
    properties: Mapping[str, str]

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        row = mapping(row)
        return cls(id_of(row, "id"), _asked(short_texts(row, "an image")))


@dataclass(frozen=True, slots=True)
class Shape:
    """What servers of one kind request from placement.

    Resource classes with amounts, and traits: required ones, and with `!` forbidden ones; both
    sorted.
    """

    resources: tuple[tuple[str, int], ...]
    traits: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, ...]:
        """For sorting: memory first, then everything else."""
        amounts = dict(self.resources)
        return (amounts.get("MEMORY_MB", 0), *(amount for _, amount in self.resources))


@dataclass(frozen=True, slots=True)
class Room:
    """The free capacity of a host by placement, and which shapes fit there.

    `free`: capacity with its allocation ratio, less what is used.
    """

    host: str
    free: Mapping[str, int]
    takes: frozenset[Shape]
