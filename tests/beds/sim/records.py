"""What the databases of the cloud hold. Times are seconds since the epoch."""

from dataclasses import dataclass, field

from tests.beds.sim.states import NO_POWER

Resources = dict[str, int]


@dataclass(frozen=True)
class Flavor:
    """Sizes are cores, MiB and GiB."""

    name: str
    vcpus: int = 1
    ram: int = 64
    disk: int = 1
    id: str = ""
    extra_specs: tuple[tuple[str, str], ...] = ()

    def resources(self) -> Resources:
        """What Nova asks Placement for: dedicated cores are PCPU."""
        dedicated = dict(self.extra_specs).get("hw:cpu_policy") == "dedicated"
        cores = "PCPU" if dedicated else "VCPU"
        return {cores: self.vcpus, "MEMORY_MB": self.ram, "DISK_GB": self.disk}


@dataclass(frozen=True)
class Project:
    id: str
    name: str


@dataclass(frozen=True)
class User:
    id: str
    name: str
    password: str
    project: Project
    roles: tuple[str, ...]

    @property
    def is_admin(self) -> bool:
        return "admin" in self.roles


@dataclass(frozen=True)
class Context:
    """Who does something; `request_id` names the instance action that it leaves."""

    user: User
    request_id: str = ""

    @property
    def is_admin(self) -> bool:
        return self.user.is_admin


@dataclass
class Fault:
    code: int
    message: str
    created: float
    details: str = ""


@dataclass(frozen=True)
class Volume:
    """A Cinder volume of a server. `encrypted`: with a secret of the server's owner."""

    id: str
    encrypted: bool = False
    boots: bool = False
    image_metadata: tuple[tuple[str, str], ...] = ()


@dataclass
class Server:
    id: str
    number: int
    name: str
    owner: User
    flavor: Flavor
    created_at: float
    updated_at: float
    host: str | None = None
    vm_state: str = "building"
    task_state: str | None = "scheduling"
    power_state: int = 0  # what the database last heard
    runs_on: str = ""  # where its guest runs if not on `host`, which Nova does not know
    domain: int = NO_POWER  # the power state that its hypervisor knows
    launched_at: float | None = None
    terminated_at: float | None = None
    deleted: bool = False
    metadata: dict[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    image: str = ""  # "" for a server that was booted from a volume
    volumes: list[Volume] = field(default_factory=list)
    locked_by: str | None = None
    locked_reason: str | None = None
    fault: Fault | None = None
    group: str | None = None
    pinned_zone: str | None = None
    hints: dict[str, str] = field(default_factory=dict)
    progress: int = 0
    old_flavor: Flavor | None = None
    old_vm_state: str = "active"
    task_since: float = 0.0  # when an API request last set the task state

    @property
    def instance_name(self) -> str:
        return f"instance-{self.number:08x}"

    @property
    def is_away(self) -> bool:
        """Its guest runs elsewhere, and the hypervisor of its host knows nothing of it."""
        return bool(self.runs_on) and self.domain == NO_POWER


@dataclass
class Migration:
    id: int
    uuid: str
    server: str
    kind: str  # migration, resize, live-migration or evacuation
    status: str
    source: str
    initiator: User
    created_at: float
    updated_at: float | None = None  # NULL until the first change: `changes-since` misses such rows
    dest: str | None = None
    old_flavor: int = 1
    new_flavor: int = 1
    deleted: bool = False
    memory_total: int | None = None
    memory_processed: int | None = None
    memory_remaining: int | None = None
    arrives_at: float | None = None  # when its guest is there, if nothing ends the copy before


@dataclass
class Event:
    name: str
    start: float
    host: str
    finish: float | None = None
    result: str | None = None
    details: str | None = None
    traceback: str | None = None


@dataclass
class Action:
    """user: None for what Nova does by itself."""

    name: str
    request_id: str
    user: User | None
    start: float
    updated_at: float
    message: str | None = None
    events: list[Event] = field(default_factory=list)


@dataclass
class Service:
    id: str
    number: int
    host: str
    binary: str = "nova-compute"
    disabled: bool = False
    disabled_reason: str | None = None
    forced_down: bool = False
    last_seen: float = 0.0
    mapped: bool = True

    @property
    def is_compute(self) -> bool:
        return self.binary == "nova-compute"


@dataclass
class Aggregate:
    id: int
    uuid: str
    name: str
    created_at: float
    hosts: list[str] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    updated_at: float | None = None


@dataclass
class ServerGroup:
    id: str
    name: str
    policy: str
    owner: User
    members: list[str] = field(default_factory=list)
    rules: dict[str, int] = field(default_factory=dict)


@dataclass
class Provider:
    id: str
    name: str
    inventories: Resources
    generation: int = 0
    traits: set[str] = field(default_factory=set)
    aggregates: set[str] = field(default_factory=set)


@dataclass
class Allocation:
    """What one consumer (a server or a migration) holds on one provider."""

    consumer: str
    owner: User
    resources: Resources


@dataclass
class Port:
    id: str
    server: str
    network: str
    host: str
    address: str
    mac: str
    owner: User
    status: str = "ACTIVE"
    admin_state_up: bool = True
    vif_type: str = "ovs"
    vnic_type: str = "normal"
