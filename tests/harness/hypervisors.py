"""The hypervisors' bed as stories see it: guests that report on their consoles, and hosts to break.

What runs and what disks hold is read on the hosts themselves, not through Nova.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from tests.beds.hosts.hosts import BedError
from tests.beds.hypervisors import cluster
from tests.beds.hypervisors.hypervisor import Hypervisor
from tests.beds.hypervisors.settings import Settings, settings
from tests.harness.openstack import Lab, until

BED = Path(__file__).parents[1] / "beds" / "hypervisors" / "bed"
INSTANCES = "/var/lib/nova/instances"
LIBVIRT_TCP = 16509
# Each of them starts libvirtd when something connects.
LIBVIRT_SOCKETS = "libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket libvirtd-tcp.socket"
LIBVIRT_UNITS = "libvirtd.socket libvirtd-ro.socket libvirtd-tcp.socket libvirtd.service"
BOOT_SECONDS = 240.0  # from a boot to the first report, with many guests and without KVM
SSH = "/var/lib/nova/.ssh"
FILLER = f"{INSTANCES}/filler"
REPAIR = f"""
tc qdisc del dev eth0 root 2>/dev/null || :
for pref in 50 60; do while ip rule del pref $pref 2>/dev/null; do :; done; done
rm -rf {FILLER} {SSH} /etc/ssh/ssh_known_hosts
rm -rf /etc/systemd/system/nova-compute.service.d
usermod -s /usr/sbin/nologin nova 2>/dev/null
systemctl daemon-reload
systemctl reset-failed
systemctl start {LIBVIRT_UNITS} nova-compute
"""
REPORT = re.compile(
    r"GUEST (?P<marker>marker-\w+) boot (?P<boot>\d+) id (?P<boot_id>\w+)"
    r" payload (?P<payload>whole|DAMAGED) counter (?P<counter>\d+) up [\d.]+\r?$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Report:
    """One line of a guest's console.

    `marker`: random, on its disk since its first boot. `boot`: how often this disk was booted.
    `boot_id`: the kernel's, another one after each boot. `whole`: the disk's payload has its sum.
    `counter`: one more each second, written to the disk before it is shown.
    """

    marker: str
    boot: int
    boot_id: str
    whole: bool
    counter: int


def reports(console: str) -> list[Report]:
    """The complete reports on a console, oldest first."""
    return [
        Report(
            found["marker"],
            int(found["boot"]),
            found["boot_id"],
            found["payload"] == "whole",
            int(found["counter"]),
        )
        for found in REPORT.finditer(console)
    ]


def last_report(console: str) -> Report | None:
    """The last complete report on a console; None where there is none."""
    return next(reversed(reports(console)), None)


@dataclass(frozen=True)
class Guest:
    """One server with a guest that counts."""

    bed: Hypervisors
    id: str
    name: str

    @property
    def host(self) -> str:
        """By Nova. Raises AssertionError where it is on none."""
        found = self.bed.lab.host_of(self.id)
        assert found, f"{self.name} is on no host"
        return found

    @property
    def status(self) -> tuple[str, str | None]:
        """(status, task state)."""
        server = self.bed.lab.server(self.id)
        assert server, f"{self.name} is gone"
        return server["status"], server["OS-EXT-STS:task_state"]

    def report(self, host: str | None = None) -> Report | None:
        """The last one on the console that `host` keeps (by default: where Nova has the server).

        It does not show that the guest runs now: see next_report.
        """
        return last_report(self.bed[host or self.host].console(self.id))

    def next_report(self, after: Report | None = None, timeout: float = BOOT_SECONDS) -> Report:
        """Waits for a higher counter than that of `after` (by default: of the last report)."""
        known = after or self.report()

        def look() -> Report | None:
            found = self.report()
            return found if found and (known is None or found.counter > known.counter) else None

        found = until(f"a report of {self.name} after {known}", look, timeout, pause=0.5)
        assert found
        return found

    def domain_states(self) -> dict[str, str]:
        """The hosts whose libvirt knows it, and the state there."""
        return {
            host.name: state for host in self.bed.hosts if (state := host.domains().get(self.id))
        }


@dataclass(frozen=True)
class Host:
    """One hypervisor, by its console. What is broken stays so; `repair` takes all of it back."""

    bed: Hypervisors
    name: str

    @property
    def machine(self) -> Hypervisor:
        return self.bed.cluster[self.name]

    @property
    def address(self) -> str:
        return self.machine.address

    def run(self, script: str, user: str = "root") -> str:
        """What a POSIX shell script prints. Raises AssertionError where it fails."""
        return self.machine.run(script, user)

    # What is there

    def domains(self) -> dict[str, str]:
        """Every domain that libvirt knows, by server ID: `running`, `paused`, `shut off`, …"""
        script = (
            "for id in $(virsh list --all --uuid); do echo $id $(virsh domstate $id 2>&1); done"
        )
        rows = (line.partition(" ") for line in self.run(script).splitlines())
        return {server_id: state for server_id, _, state in rows}

    def instance_dirs(self) -> set[str]:
        """The folders of servers, `UUID` and `UUID_resize`."""
        return set(
            re.findall(r"^[0-9a-f]{8}-[-0-9a-f]{27}\S*$", self.run(f"ls {INSTANCES}"), re.MULTILINE)
        )

    def console(self, server_id: str) -> str:
        """The end of what a guest has written to its console here; empty where there is none."""
        return self.run(f"tail -c 2000 {INSTANCES}/{server_id}/console.log 2>/dev/null || :")

    def evidence(self) -> str:
        """What tells later why a guest is not as it was: when each QEMU began and why it ended, the
        parts of consoles that are no reports, and what nova-compute did.
        """
        begun = r"qemu-system|/bin/qemu|starting up|shutting down|terminating|reason="
        script = f"""
            cd /var/log/libvirt/qemu && for log in *.log; do
                echo "== $log"; grep -aE '{begun}' "$log" | cut -c1-200 | tail -n 20
            done
            cd {INSTANCES} && for log in */console.log; do
                echo "== $log"; grep -av ' counter ' "$log" | cut -c1-200 | tail -n 40
            done
            echo "== nova-compute"
            grep -a '^20' /var/log/nova/nova-compute.log | cut -c1-240 | tail -n 300
        """
        try:
            return f"==== {self.name}\n{self.run(script)}"
        except (AssertionError, OSError, ValueError) as error:  # off, broken, or no text
            return f"==== {self.name}: {error}"

    def keys(self) -> str:
        """The files of Nova's ssh; empty where there are none."""
        return self.run("find /var/lib/nova/.ssh /etc/ssh/ssh_known_hosts 2>/dev/null || :").strip()

    def drop_ins(self) -> str:
        """What an administrator, or an operator, has laid over nova-compute's unit."""
        return self.run("ls /etc/systemd/system/nova-compute.service.d 2>/dev/null || :").strip()

    def memory_mib(self) -> dict[str, float]:
        """Proportional set size of the host's processes, by name, in MiB."""
        found: dict[str, float] = {}
        each = "echo $(cat $p/comm) $(grep ^Pss: $p/smaps_rollup)"
        script = f"for p in /proc/[0-9]*; do {each}; done 2>/dev/null || :"
        for name, kib in re.findall(r"^(.+) Pss: (\d+) kB$", self.run(script), re.MULTILINE):
            found[name] = found.get(name, 0.0) + int(kib) / 1024
        return found

    def running(self) -> set[str]:
        """The servers whose guests run here; none where libvirtd does not answer within 5 s."""
        return set(self.run("timeout 5 virsh list --uuid --state-running || :").split())

    def copies(self, guest: Guest) -> bool:
        """Whether the disk of a guest is being copied from here, by a cold migration."""
        # The brackets keep the shell that runs this from finding itself.
        return bool(self.run(f"pgrep -f '[s]cp.*{guest.id}' || :").strip())

    def has_disk(self, guest: Guest) -> bool:
        """Whether the disk of a guest, or some of it, is here."""
        return bool(self.run(f"test -s {INSTANCES}/{guest.id}/disk && echo yes || :").strip())

    # nova-compute, libvirtd, QEMU

    @property
    def compute_runs(self) -> bool:
        return self.run("systemctl is-active nova-compute || :").strip() == "active"

    def kill_compute(self) -> None:
        """kill -9; its unit starts it again after 2 s."""
        self.run("kill -9 $(systemctl show -p MainPID --value nova-compute)")

    def stop_compute(self) -> None:
        self.run("systemctl stop nova-compute")

    def start_compute(self) -> None:
        self.run("systemctl reset-failed nova-compute || :; systemctl start nova-compute")

    def await_compute(self) -> None:
        """Waits until nova-compute has reported to Nova since it started, however that was.

        Nova lists a host as up for service_down_time after its nova-compute died. A live migration
        that is requested while it starts can end in ERROR, with the guest running on the
        destination: the start treats it as interrupted (compute/manager.py, _init_instance).
        """

        def reported() -> bool:
            script = (
                'date -d "$(systemctl show -p ExecMainStartTimestamp --value nova-compute)" +%s'
            )
            service = self.bed.lab.service(self.name)
            if not (
                self.compute_runs
                and service
                and service["updated_at"]
                and self.bed.lab.is_up(self.name)
            ):
                return False
            heard = datetime.fromisoformat(service["updated_at"]).replace(tzinfo=UTC)
            return heard.timestamp() > int(self.run(script))

        until(f"nova-compute on {self.name} to report", reported, timeout=180.0, pause=0.5)

    def kill_libvirtd(self) -> None:
        """kill -9; its unit starts it again. Guests go on."""
        self.run("kill -9 $(systemctl show -p MainPID --value libvirtd)")

    def stop_libvirtd(self) -> None:
        """With its sockets, so that nothing starts it again. Guests go on."""
        self.run(f"systemctl stop {LIBVIRT_SOCKETS} libvirtd.service")

    def start_libvirtd(self) -> None:
        self.run(f"systemctl start {LIBVIRT_UNITS}")

    def stall_libvirtd(self) -> None:
        """It answers nobody, as one whose storage hangs; guests go on."""
        self.run("kill -STOP $(systemctl show -p MainPID --value libvirtd)")

    def resume_libvirtd(self) -> None:
        self.run("kill -CONT $(systemctl show -p MainPID --value libvirtd)")

    def kill_guest(self, guest: Guest) -> None:
        """kill -9 of its QEMU here."""
        server = self.bed.lab.server(guest.id)
        assert server
        self.run(f"kill -9 $(cat /run/libvirt/qemu/{server['OS-EXT-SRV-ATTR:instance_name']}.pid)")

    # Network

    def cut(self, other: Host) -> None:
        """Packets between the two vanish, in both directions; each goes on reaching all else."""
        for one, far in ((self, other), (other, self)):
            # Rules come before the table of local addresses only if that is moved behind them.
            one.run(
                "if ip rule | grep -q '^0:'; then ip rule add pref 100 lookup local; ip rule del "
                "pref 0; fi"
            )
            one.run(f"ip rule add pref 50 from {far.address} blackhole")

    def heal(self, other: Host) -> None:
        for one, far in ((self, other), (other, self)):
            one.run(f"while ip rule del pref 50 from {far.address} 2>/dev/null; do :; done")

    def prohibit(self, port: int = LIBVIRT_TCP) -> None:
        """Connections from here to this port of any other host are refused at once."""
        self.run(f"ip rule add pref 60 ipproto tcp dport {port} prohibit")

    def allow(self, port: int = LIBVIRT_TCP) -> None:
        self.run(f"while ip rule del pref 60 ipproto tcp dport {port} 2>/dev/null; do :; done")

    def slow(self, megabits: int) -> None:
        """The whole link from here, to each other host and to the control plane, in Mbit/s."""
        self.run(
            f"tc qdisc replace dev eth0 root tbf rate {megabits}mbit burst 32kbit latency 400ms"
        )

    def fast(self) -> None:
        self.run("tc qdisc del dev eth0 root 2>/dev/null || :")

    def renew_host_keys(self) -> None:
        """Other SSH host keys, as after a reinstallation."""
        again = "rm $key $key.pub; ssh-keygen -q -t $kind -N '' -f $key"
        kinds = "kind=${key#ssh_host_}; kind=${kind%_key}"
        self.run(f"cd /etc/ssh; for key in ssh_host_*_key; do {kinds}; {again}; done")
        self.run("systemctl restart ssh")

    # Disk of the guests

    def fill_disk(self, leave_kib: int = 512) -> None:
        """No space is left for guests but some hundred KiB, so that folders can still be made."""
        free = int(self.run(f"df --output=avail -k {INSTANCES} | tail -n 1"))
        self.run(f"fallocate -l {free - leave_kib}K {FILLER}")

    def free_disk(self) -> None:
        self.run(f"rm -f {FILLER}")

    # Power

    def power_cut(self) -> None:
        """Every process ends at once; its disks stay."""
        self.machine.stop()

    def power_on(self) -> None:
        """Returns when systemd has started everything; Nova may see the host later."""
        self.bed.cluster.start(self.name)

    def reboot(self) -> None:
        """In order: systemd stops the units."""
        machine = self.machine
        machine.run("systemctl poweroff --no-block")
        until(f"the shutdown of {self.name}", lambda: not machine.tree.runs, timeout=120.0)
        machine.stop()
        self.power_on()

    def repair(self) -> None:
        """As a fresh host: powered on, network whole, disk free, no keys, services running."""
        if not self.machine.tree.runs:
            self.power_on()
        self.run(REPAIR)
        self.await_compute()

    def forget_guests(self) -> None:
        """What failed moves have left here, of servers that Nova has deleted."""
        left = {name.removesuffix("_resize") for name in self.instance_dirs()} | set(self.domains())
        for server_id in left:
            self.run(
                f"virsh destroy {server_id}; virsh undefine {server_id}; rm -rf "
                f"{INSTANCES}/{server_id}*"
            )


class Cloud(Lab):
    """The control plane, whose computes are started and stopped on their hosts."""

    hypervisors: Hypervisors

    def start_compute(self, *hosts: str) -> None:
        for host in hosts:
            self.hypervisors[host].start_compute()
        for host in hosts:
            self.hypervisors[host].await_compute()

    def stop_compute(self, *hosts: str) -> None:
        for host in hosts:
            self.hypervisors[host].stop_compute()

    def kill_compute(self, *hosts: str) -> None:
        for host in hosts:
            self.hypervisors[host].kill_compute()


class Hypervisors:
    """The whole bed, which is up."""

    def __init__(self, found: Settings, bed: cluster.Bed) -> None:
        self.settings, self.cluster = found, bed
        self.lab = Cloud(
            yaml.safe_load(found.cloud.clouds.read_text())["clouds"], found.cloud_environment
        )
        self.lab.hypervisors = self
        self.hosts: Sequence[Host] = [Host(self, name) for name in bed.hosts]

    @classmethod
    def of_bed(cls, found: Settings | None = None) -> Hypervisors:
        """By default the one of this environment. Raises AssertionError where it is not up."""
        found = found or settings()
        try:
            return cls(found, cluster.attached(found))
        except BedError as error:
            raise AssertionError(str(error)) from error

    def __getitem__(self, name: str) -> Host:
        return next(host for host in self.hosts if host.name == name)

    @property
    def names(self) -> list[str]:
        return [host.name for host in self.hosts]

    def boot(
        self,
        host: str,
        names: Iterable[str],
        state: str = "ACTIVE",
        image: str = "guest",
        flavor: str = "guest",
        **extra: Any,
    ) -> list[Guest]:
        """Guests that have reported, then brought to a status. `extra` as in Lab.create."""
        wanted = list(names)
        ids = self.lab.boot(host, wanted, imageRef=self.lab.image(image), flavor=flavor, **extra)
        guests = [Guest(self, server_id, name) for server_id, name in zip(ids, wanted, strict=True)]
        for guest in guests:
            guest.next_report()
        if state != "ACTIVE":
            self.lab.bring(ids, state)
        return guests

    def share_keys(self) -> None:
        """One key for the nova users of all hosts, by hand: what a keyring does otherwise."""
        made = "k=$(mktemp -u); ssh-keygen -q -t ed25519 -N '' -f $k; cat $k"
        private = self.hosts[0].run(made)
        script = f"""
            usermod -s /bin/sh nova
            mkdir -p -m 700 {SSH}
            echo '{private}' >{SSH}/id_ed25519
            chmod 600 {SSH}/id_ed25519
            ssh-keygen -y -f {SSH}/id_ed25519 >{SSH}/authorized_keys
            echo '{self.cluster.known_hosts}' >{SSH}/known_hosts
            chown -R nova: {SSH}
        """
        self.each(lambda host: host.run(script))

    def migrate(self, guest: Guest, to: str) -> None:
        """Ask Nova for a cold migration; it goes on when this returns."""
        self.lab.admin.action(guest.id, "migrate", {"host": to})

    def live_migrate(self, guest: Guest, to: str) -> None:
        """Ask Nova for a live migration, with the disk; it goes on when this returns."""
        self.lab.admin.action(guest.id, "os-migrateLive", {"host": to, "block_migration": "auto"})

    def migration(self, guest: Guest) -> dict[str, Any]:
        """The last migration of a guest, as Nova's API shows it; {} before the first."""
        rows = self.lab.admin.get(f"/os-migrations?instance_uuid={guest.id}")["migrations"]
        return max(rows, key=lambda row: int(row["id"]), default={})

    def tidy(self) -> None:
        """No guest, no fault, and every host up, enabled and as after a fresh start."""
        self.each(Host.repair)
        self.lab.tidy(self.names)
        self.each(Host.forget_guests)

    def each(self, do: Callable[[Host], object]) -> None:
        """On all hosts at the same time."""
        with ThreadPoolExecutor(len(self.hosts)) as pool:
            list(pool.map(do, self.hosts))
