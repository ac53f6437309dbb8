"""Start the services in order, wait for them, and end them."""

import signal
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import backing, configs, databases, seed
from .errors import BedError
from .processes import Processes
from .rest import Api, answers
from .settings import HERE, LOOPBACK, PREFIX, Knobs, Paths

APIS = ("keystone", "placement", "glance", "neutron", "nova")
# Process -> the ports it listens on.
LISTENERS = {
    **{f"{name}-api": (name,) for name in APIS},
    "epmd": ("epmd",),
    "rabbitmq": ("rabbitmq", "erlang"),
}
NOVA_DAEMONS = ("nova-conductor", "nova-scheduler")
FORKER = "nova-forker"
STATEFUL = ("mariadb", "rabbitmq", "epmd")  # and what they need to the end
STARTUP = 240.0  # seconds a service may take on a busy machine

Say = Callable[[str], None]


def compute_process(host: str) -> str:
    return f"nova-compute-{host}"


class Cloud:
    """One cloud: its paths, knobs and processes. `say` shows progress."""

    def __init__(self, paths: Paths, knobs: Knobs, say: Say) -> None:
        self.paths = paths
        self.knobs = knobs
        self.say = say
        self.processes = Processes(paths.run, paths.run / "pid", paths.log)
        self.api = Api(knobs)
        self.started_at: dict[str, str] = {}  # compute -> UTC time this command started it

    def expected(self) -> list[str]:
        """Return the names of all processes of a complete cloud."""
        computes = [compute_process(host) for host in self.knobs.hosts()]
        return [
            "mariadb",
            "epmd",
            "rabbitmq",
            *(f"{name}-api" for name in APIS),
            FORKER,
            *NOVA_DAEMONS,
            *computes,
        ]

    def up(self) -> None:
        """Start whatever is not running and return when all computes are up and mapped."""
        if not all(self.processes.pid(name) for name in self.expected()):
            self.check_ports()
            configs.write_all(self.paths, self.knobs)
            self.start_backing()
            fresh = self.prepare_databases()
            self.start_apis()
            self.start_forker()
            if fresh:
                self.seed()
            self.start_nova(NOVA_DAEMONS, self.knobs.hosts())
            self.wait_for_apis()
        self.wait_for_computes(self.knobs.hosts())

    def check_ports(self) -> None:
        """Raise BedError if a port that is about to be opened is taken."""
        for process, names in LISTENERS.items():
            if self.processes.pid(process):
                continue
            for name in names:
                port = self.knobs.port(name)
                if is_open(port):
                    raise BedError(
                        f"port {port}, wanted for {name}, is taken by another program (see it with"
                        f" `ss -ltnp sport = :{port}`); end that or set"
                        f" {PREFIX}PORT_{name.upper()},"
                        f" or {PREFIX}PORT_BASE to move all ports"
                    )

    def start_backing(self) -> None:
        self.say("MariaDB and RabbitMQ")
        backing.start_rabbitmq(self.paths, self.knobs, self.processes)
        backing.start_mariadb(self.paths, self.processes)
        self.wait_until("mariadb", lambda: backing.sql(self.paths, "SELECT 1;"))

    def prepare_databases(self) -> bool:
        """Make or restore the databases if they are not there; return whether to seed them."""
        ready = self.paths.run / "databases-are-ready"
        fresh = False
        if not ready.exists():
            databases.create_user(self.paths)
            if databases.restore(self.paths):
                self.say("databases restored from the dump of a fresh cloud")
            else:
                self.say("databases made from nothing (about half a minute)")
                databases.create(self.paths, self.knobs)
                fresh = True
            if not fresh:
                ready.touch()
        databases.relocate(self.paths, self.knobs)
        return fresh

    def start_apis(self) -> None:
        self.say("API services")
        etc = self.paths.run / "etc"
        self.start_api(
            "keystone",
            "keystone.wsgi.api:application",
            {"OS_KEYSTONE_CONFIG_DIR": f"{etc}/keystone"},
        )
        release, nova_venv = self.paths.release, self.paths.nova_venv
        self.start_api(
            "placement",
            release.placement,
            {"OS_PLACEMENT_CONFIG_DIR": f"{etc}/placement"},
            nova_venv,
        )
        self.start_nova_api()
        self.start_api(
            "glance", "glance.wsgi.api:application", {"OS_GLANCE_CONFIG_DIR": f"{etc}/glance"}
        )
        self.start_api(
            "neutron",
            "lab_neutron:application",
            {
                "OS_NEUTRON_CONFIG_FILES": f"{etc}/neutron/neutron.conf",
                "PYTHONPATH": f"{HERE}/plugins/neutron:{etc}/neutron/plugins",
            },
        )

    def start_nova_api(self) -> None:
        """Under uWSGI; with eventlet as a daemon of its own, which is what it was made for."""
        nova_conf = f"{self.paths.run}/etc/nova/nova.conf"
        if self.paths.release.eventlet:
            log = f"{self.paths.log}/nova-api.log"
            command = [
                self.paths.nova_bin("nova-api-os-compute"),
                "--config-file",
                nova_conf,
                "--log-file",
                log,
            ]
            self.processes.start("nova-api", command)
            return
        paste = f"{self.paths.nova_venv}/etc/nova/api-paste.ini"  # Nova takes the first one for it
        files = {"OS_NOVA_CONFIG_FILES": f"{paste};{nova_conf}"}
        self.start_api("nova", "nova.wsgi.osapi_compute:application", files)

    def start_api(
        self, name: str, module: str, env: dict[str, str], venv: Path | None = None
    ) -> None:
        venv = venv or self.paths.venv
        address = f"{LOOPBACK}:{self.knobs.port(name)}"
        self.processes.start(
            f"{name}-api",
            [
                str(venv / "bin/uwsgi"),
                "--http-socket",
                address,
                "--module",
                module,
                "--master",
                "--processes",
                "1",
                "--threads",
                str(self.knobs.api_threads),
                "--enable-threads",
                "--lazy-apps",
                "--need-app",
                "--die-on-term",
                "--listen",
                "100",
                "--buffer-size",
                "65535",
                # glanceclient uploads a snapshot in chunks of 1 MiB, just above uWSGI's default.
                "--chunked-input-limit",
                str(4 * 2**20),
                "--add-header",
                "Connection: close",
                "--disable-logging",
                "--log-5xx",
                "--procname-prefix",
                f"{name} ",
                "--virtualenv",
                str(venv),
                "--pyargv",
                "",
            ],
            env,
        )

    def seed(self) -> None:
        """Fill fresh databases and keep a dump of them for the next fresh cloud."""
        self.say("users, image, flavors, network")
        self.wait_for_api("keystone")
        seed.identity(self.api)
        self.wait_for_apis()
        seed.image(self.api)
        seed.flavors(self.api)
        seed.network(self.api)
        databases.dump(self.paths)
        (self.paths.run / "databases-are-ready").touch()

    def start_nova(self, daemons: Sequence[str], hosts: Sequence[str]) -> None:
        """Start Nova's daemons as forks of a preloaded process, which saves each its imports."""
        names = [
            name
            for name in (*daemons, *map(compute_process, hosts))
            if not self.processes.pid(name)
        ]
        for host in hosts:
            configs.write_compute(self.paths, self.knobs, host)
            if compute_process(host) in names:
                self.started_at[host] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
        if not names:
            return
        self.say(f"Nova's daemons ({len(names)})")
        self.start_forker()
        self.wait_until(FORKER, lambda: self.ask_forker(names))

    def start_forker(self) -> None:
        command = [
            self.paths.nova_bin("python"),
            str(HERE / "plugins/nova_forker.py"),
            str(self.paths.run),
        ]
        threads = (
            {} if self.paths.release.eventlet else {"OS_NOVA_DISABLE_EVENTLET_PATCHING": "true"}
        )
        self.processes.start(FORKER, command, {"PYTHONPATH": str(HERE), **threads})

    def ask_forker(self, names: Sequence[str]) -> bool:
        """Have daemons forked; return whether the forker was ready for it."""
        with socket.socket(socket.AF_UNIX) as asking:
            try:
                asking.connect(str(self.paths.run / "nova-forker.sock"))
            except (FileNotFoundError, ConnectionRefusedError):  # it is not ready yet
                return False
            asking.sendall(f"{' '.join(names)}\n".encode())
            return asking.recv(16) == b"ok\n"

    def stop_computes(self, hosts: Sequence[str], kill: bool) -> None:
        """End nova-compute on hosts, in order or (kill) as a crash would."""
        for host in hosts:
            how = signal.SIGKILL if kill else signal.SIGTERM
            self.processes.stop(compute_process(host), 15, how)

    def wait_for_apis(self) -> None:
        for name in APIS:
            self.wait_for_api(name)

    def wait_for_api(self, name: str) -> None:
        path = "/healthcheck" if name == "glance" else "/"
        url = f"http://{LOOPBACK}:{self.knobs.port(name)}{path}"
        self.wait_until(f"{name}-api", lambda: answers(url))

    def wait_until(self, process: str, is_ready: Callable[[], bool]) -> None:
        """Wait until a process is ready; BedError when it dies or takes too long."""
        end = time.monotonic() + STARTUP
        while not is_ready():
            self.processes.check(process)
            if time.monotonic() > end:
                raise BedError(
                    f"{process} did not get ready in {STARTUP:.0f} s; see {self.paths.log}"
                )
            time.sleep(0.1)

    def wait_for_computes(self, hosts: Sequence[str]) -> None:
        """Wait until these hosts are up and mapped: only then can servers be placed on them.

        A nova-compute that dies is started once more: two of its threads that read options of the
        database for the first time may meet (RuntimeError in nova/db/main/api.py _get_db_conf).
        """
        end = time.monotonic() + STARTUP
        tried_again: set[str] = set()
        while missing := set(hosts) - self.usable_hosts():
            dead = {host for host in missing if not self.processes.pid(compute_process(host))}
            for host in dead & tried_again:
                self.processes.check(compute_process(host))
            if again := sorted(dead - tried_again):
                self.say(f"{', '.join(map(compute_process, again))} died, and starts once more")
                tried_again |= dead
                self.start_nova((), again)
            if time.monotonic() > end:
                raise BedError(
                    f"not up after {STARTUP:.0f} s: {' '.join(sorted(missing))}; "
                    f"see {self.paths.log}"
                )
            if self.paths.release.forgets_cells and missing <= {
                row["host"] for row in self.compute_services()
            }:
                databases.map_hosts(self.paths)
            time.sleep(0.5)

    def usable_hosts(self) -> set[str]:
        """Return the hosts that are up and have a hypervisor (only mapped ones are listed).

        A compute started by this command has to have reported since: "up" may be left over
        from the process before it.
        """
        up = {
            service["host"]
            for service in self.compute_services()
            if service["state"] == "up"
            and (service["updated_at"] or "") >= self.started_at.get(service["host"], "")
        }
        hypervisors = self.api.call("nova", "GET", "/os-hypervisors")["hypervisors"]
        return up & {hypervisor["hypervisor_hostname"] for hypervisor in hypervisors}

    def compute_services(self) -> list[dict[str, Any]]:
        answer = self.api.call("nova", "GET", "/os-services?binary=nova-compute")
        return list(answer["services"])

    def down(self, keep_state: bool = True) -> None:
        """End all processes: Nova and the APIs at once, then what they stand on.

        keep_state: end MariaDB and RabbitMQ in order; else everything is killed, which is quicker.
        """
        if keep_state:
            self.stop_all([name for name in self.processes.names() if name not in STATEFUL], 2)
            self.stop_all(["mariadb", "rabbitmq"], 30)
            self.stop_all(["epmd"], 2)
        else:
            self.stop_all(self.processes.names(), 0)
        self.paths.settings.unlink(missing_ok=True)

    def stop_all(self, names: Sequence[str], patience: float) -> None:
        """Stop processes at the same time; patience in seconds before they are killed."""
        with ThreadPoolExecutor(max(1, len(names))) as pool:
            list(pool.map(lambda name: self.processes.stop(name, patience), names))


def is_open(port: int) -> bool:
    """Return whether a loopback port has a listener."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False
