"""A cloud of one Nova, Keystone, Placement and Neutron, without HTTP.

    cloud = Cloud()                       # the time stands still
    server = cloud.boot("web-1", host="cmp1")
    cloud.clock.advance(5)                # ACTIVE
    cloud.cold.migrate(cloud.as_user("quiesce"), server.id)
    cloud.kill_compute("cmp1")

Everything that happens later is an event on `cloud.clock`; the same seed and the same calls at the
same times give the same history.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from tests.beds.sim.clock import Clock
from tests.beds.sim.cold import ColdMigrations
from tests.beds.sim.computes import Computes
from tests.beds.sim.evacuations import Evacuations
from tests.beds.sim.guests import Boot, Guests
from tests.beds.sim.live import LiveMigrations
from tests.beds.sim.power import Power
from tests.beds.sim.records import (
    Context,
    Flavor,
    Migration,
    Project,
    Server,
    ServerGroup,
    Service,
    User,
    Volume,
)
from tests.beds.sim.scheduler import Scheduler
from tests.beds.sim.state import Compute, Config, State, Timing

EPOCH = 1_900_000_000.0  # a Sunday in 2030
PASSWORD = "secret"
HOSTS = ("cmp1", "cmp2", "cmp3", "cmp4", "cmp5")


class Cloud:
    """The cloud, and what people and power cuts do to it.

    start: seconds since the epoch; speed: see Clock. Users: `admin` and `quiesce` (admins of the
    project `admin`), `demo` (member of `demo`); flavors `tiny` and `small`.
    """

    def __init__(
        self,
        hosts: Iterable[str] = HOSTS,
        *,
        seed: int = 0,
        start: float = EPOCH,
        speed: float = 0.0,
        config: Config | None = None,
        timing: Timing | None = None,
    ) -> None:
        self.clock = Clock(start, speed)
        self.state = State(self.clock, seed, config or Config(), timing or Timing())
        self.scheduler = Scheduler(self.state)
        self.guests = Guests(self.state, self.scheduler)
        self.power = Power(self.state, self.guests)
        self.cold = ColdMigrations(self.state, self.scheduler, self.power)
        self.live = LiveMigrations(self.state, self.scheduler, self.power)
        self.evacuations = Evacuations(self.state, self.scheduler)
        self.computes = Computes(self.state, self.power)
        self.faults = self.state.faults
        self.placement = self.state.placement
        self._seed_accounts()
        for binary in ("nova-scheduler", "nova-conductor"):
            self.computes.add_controller("controller", binary)
        for host in hosts:
            self.computes.add(host)

    def _seed_accounts(self) -> None:
        admin = Project(self.state.new_uuid().replace("-", ""), "admin")
        demo = Project(self.state.new_uuid().replace("-", ""), "demo")
        for name, project, role in (
            ("admin", admin, "admin"),
            ("quiesce", admin, "admin"),
            ("demo", demo, "member"),
        ):
            self.add_user(name, project, (role,))
        for name, ram in (("tiny", 64), ("small", 128)):
            self.add_flavor(Flavor(name, ram=ram, id=self.state.new_uuid()))

    # Accounts and flavors

    def add_user(
        self, name: str, project: Project, roles: tuple[str, ...], password: str = PASSWORD
    ) -> User:
        user = User(self.state.new_uuid().replace("-", ""), name, password, project, roles)
        self.state.users[name] = user
        return user

    def as_user(self, name: str) -> Context:
        return Context(self.state.users[name], f"req-{self.state.new_uuid()}")

    def add_flavor(self, flavor: Flavor) -> Flavor:
        self.state.flavors[flavor.name] = flavor
        return flavor

    # People

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep requests waiting, at the present time: for whoever acts while the cloud is
        served.
        """
        with self.clock.lock:
            self.clock.catch_up()
            yield

    def boot(
        self,
        name: str,
        *,
        host: str | None = None,
        user: str = "demo",
        flavor: str = "tiny",
        zone: str | None = None,
        group: ServerGroup | None = None,
        metadata: dict[str, str] | None = None,
        network: bool = True,
        image: str = "tiny",
    ) -> Server:
        """Ask for a server; it is ACTIVE, or in ERROR, some seconds later."""
        wish = Boot(
            name,
            self.state.flavors[flavor],
            host,
            zone,
            tuple((metadata or {}).items()),
            image,
            group.id if group else None,
            network,
        )
        with self.hold():
            return self.guests.boot(self.as_user(user), wish)

    def boot_active(self, name: str, host: str, **wishes: str) -> Server:
        """Boot a server and let time pass until it is ACTIVE."""
        server = self.boot(name, host=host, **wishes)  # type: ignore[arg-type]
        return self.when(server, lambda: server.vm_state == "active")

    def add_group(self, name: str, policy: str, user: str = "demo", **rules: int) -> ServerGroup:
        """rules: max_server_per_host, of anti-affinity."""
        group = ServerGroup(self.state.new_uuid(), name, policy, self.state.users[user])
        group.rules = rules
        self.state.groups[group.id] = group
        return group

    def soft_delete(self, server: Server) -> None:
        """Put a server aside as Nova with reclaim_instance_interval does: deleted, yet on
        its host.
        """
        with self.hold():
            self.state.save(server, vm_state="soft-delete", task_state=None, power_state=4)

    def set_extra_specs(self, server: Server, specs: dict[str, str]) -> None:
        """Change the flavor that a server keeps for itself."""
        with self.hold():
            server.flavor = replace(server.flavor, extra_specs=tuple(specs.items()))

    def attach_volume(
        self, server: Server, *, encrypted: bool = False, boots: bool = False, **image: str
    ) -> Volume:
        """image: what the volume's image asked for."""
        volume = Volume(self.state.new_uuid(), encrypted, boots, tuple(image.items()))
        with self.hold():
            server.volumes.append(volume)
        return volume

    def guest_dies(self, server: Server) -> None:
        """End a guest as a crash of QEMU or a shutdown from inside does."""
        with self.hold():
            self.power.go_off(server)

    def when(self, server: Server, condition: Callable[[], bool], within: float = 60.0) -> Server:
        """Let time pass until a condition holds; TimeoutError names the server if it never does."""
        with self.hold():
            there = self.clock.run_until(condition, within)
        if not there:
            seen = f"{server.vm_state}/{server.task_state} on {server.host}"
            raise TimeoutError(f"{server.name} is {seen} after {within} s; fault: {server.fault}")
        return server

    # Hosts

    def kill_compute(self, host: str) -> None:
        with self.hold():
            self.computes.kill(host)

    def start_compute(self, host: str) -> None:
        with self.hold():
            self.computes.start(host)

    def service(self, host: str) -> Service | None:
        return self.state.service_of(host)

    def compute(self, host: str) -> Compute:
        return self.state.compute(host)

    # What a test looks at

    def servers_on(self, host: str) -> list[Server]:
        return self.state.on_host(host)

    def migrations_of(self, server: Server) -> list[Migration]:
        return self.state.moves_of.get(server.id, [])
