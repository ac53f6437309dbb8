"""PURE. Nova's answers as frozen values: only what is used; names as in Nova's API."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

# `migration.status` values after which Nova itself regards a migration as over. Every other one
# keeps a compute service from being deleted; `finished` and `confirming` among them
# (nova/db/main/api.py migration_get_in_progress_by_host_and_node).
TERMINAL = frozenset({"confirmed", "reverted", "error", "failed", "completed", "cancelled", "done"})
FAILED = frozenset({"error", "failed", "cancelled", "reverted"})
SUCCEEDED = frozenset({"confirmed", "completed"})
# A live migration that Nova has not begun yet: it runs few at a time
# ([compute]max_concurrent_live_migrations, 1 by default).
WAITING = frozenset({"accepted", "queued", "preparing"})

# nova/compute/power_state.py
NOSTATE, RUNNING, PAUSED, SHUTDOWN = 0, 1, 3, 4


def moment(text: str | None) -> datetime | None:
    """Nova's times: UTC, with or without fraction and zone."""
    if not text:
        return None
    value = datetime.fromisoformat(text)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


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
        return cls(
            id=str(row.get("id") or ""),
            host=row["host"],
            status=row.get("status") or "UNKNOWN",
            state=row.get("state") or "unknown",
            disabled_reason=row.get("disabled_reason"),
            forced_down=bool(row.get("forced_down")),
            zone=row.get("zone") or "",
            reported=row.get("updated_at") or "",
        )


@dataclass(frozen=True, slots=True)
class Flavor:
    """The flavor in a server (2.47). Memory and swap in MiB, disk in GiB (root + ephemeral)."""

    vcpus: int = 1
    ram: int = 0
    disk: int = 0
    swap: int = 0
    extra_specs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Server:
    """One row of `GET /servers/detail`.

    `host` is OS-EXT-SRV-ATTR:host: None where no compute has it. `launched`: when its guest was
    last made on a host: by its build, a cold migration, an unshelve; not by a live migration.
    `partial`: its cell is down, so that Nova shows its id and project and little else (microversion
    2.69, api/openstack/compute/views/servers.py _show_from_down_cell). `volumes`: IDs of the
    attached ones; `encrypted`: those of them that Cinder encrypts, None where it does not answer.
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
    partial: bool = False

    @property
    def idle(self) -> bool:
        """Nova is doing nothing with it, as far as it shows."""
        busy = ("RESIZE", "MIGRATING", "REVERT_RESIZE")
        return not self.partial and self.task_state is None and self.status not in busy

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        """Raises KeyError where the host attribute is missing: the user may not see hosts."""
        if row["status"] == "UNKNOWN" and "OS-EXT-SRV-ATTR:host" not in row:
            return cls(
                id=row["id"],
                name=row.get("name") or row["id"],
                status=row["status"],
                task_state=None,
                power_state=NOSTATE,
                host=None,
                project_id=row.get("tenant_id") or "",
                partial=True,
            )
        flavor, image = row.get("flavor") or {}, row.get("image") or {}
        return cls(
            id=row["id"],
            name=row.get("name") or row["id"],
            status=row["status"],
            task_state=row.get("OS-EXT-STS:task_state"),
            power_state=int(row.get("OS-EXT-STS:power_state") or 0),
            host=row["OS-EXT-SRV-ATTR:host"],
            locked=bool(row.get("locked")),
            fault=(row.get("fault") or {}).get("message"),
            flavor=Flavor(
                vcpus=flavor.get("vcpus", 1),
                ram=flavor.get("ram", 0),
                disk=flavor.get("disk", 0) + flavor.get("ephemeral", 0),
                swap=int(flavor.get("swap") or 0),
                extra_specs=flavor.get("extra_specs") or {},
            ),
            volume_backed=not image,
            image_properties=image.get("properties") or {},
            zone_pinned=row.get("pinned_availability_zone"),
            addresses=tuple(
                a["addr"] for net in (row.get("addresses") or {}).values() for a in net
            ),
            project_id=row.get("tenant_id") or "",
            launched=moment(row.get("OS-SRV-USG:launched_at")),
            image_id=image.get("id") or "",
            volumes=tuple(
                v["id"] for v in row.get("os-extended-volumes:volumes_attached") or () if "id" in v
            ),
        )


@dataclass(frozen=True, slots=True)
class Migration:
    """One row of `GET /os-migrations` (2.80).

    `type`: migration (cold), resize, live-migration, evacuation. `user_id`: who started it. `id`
    grows within a cell, so it orders the migrations of one host without any clock.
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

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        return cls(
            id=row["id"],
            uuid=row["uuid"],
            server_id=row["instance_uuid"],
            type=row["migration_type"],
            status=row["status"],
            source=row["source_compute"],
            dest=row["dest_compute"],
            user_id=row.get("user_id"),
            created=moment(row["created_at"]) or datetime.fromtimestamp(0, UTC),
            updated=moment(row.get("updated_at")),
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


@dataclass(frozen=True, slots=True)
class Confirmed:
    """An instance action confirmResize. `user_id` None: Nova did it by itself."""

    started: datetime
    user_id: str | None


@dataclass(frozen=True, slots=True)
class LiveProgress:
    """A running live migration's counters (`GET /servers/{id}/migrations`), bytes."""

    migration_id: int
    status: str
    processed: int
    remaining: int


@dataclass(frozen=True, slots=True)
class Aggregate:
    id: int
    name: str
    zone: str | None
    hosts: tuple[str, ...]


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
        most = (row.get("rules") or {}).get("max_server_per_host") or 1
        return cls(row["id"], row["name"], row["policy"], frozenset(row["members"]), int(most))


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
        return cls(
            row["id"],
            row["device_id"],
            row["status"],
            row.get("binding:host_id"),
            row.get("binding:vif_type"),
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
        """Raises KeyError."""
        boots = str(row.get("bootable")).lower() == "true"
        properties = row.get("volume_image_metadata") or {} if boots else {}
        return cls(row["id"], bool(row["encrypted"]), properties)


@dataclass(frozen=True, slots=True)
class Image:
    """A Glance image's own properties."""

    id: str
    properties: Mapping[str, str]

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        texts = {name: value for name, value in row.items() if isinstance(value, str)}
        return cls(row["id"], texts)


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
