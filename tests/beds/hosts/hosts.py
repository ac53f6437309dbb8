#!/usr/bin/env python3
"""Compute hosts for SSH tests: each with its own network, mounts, processes, accounts and OpenSSH
server.

Everything lives in namespaces and goes with their first process. README.md beside this file tells
what is there and how to use it by hand.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quiesce" / "hosts"
PACKAGES = ("openssh-server", "openssh-sftp-server", "sudo")
NETWORK = os.environ.get("QUIESCE_HOSTS_NETWORK") or "10.213.77"
NOVA_UID, SSHD_UID, ADMIN_UID = 64060, 64061, 64062
START_SECONDS = 30.0
SSHD_CONFIG = """\
Port {port}
ListenAddress {address}
HostKey /etc/ssh/ssh_host_ed25519_key
HostKey /etc/ssh/ssh_host_ecdsa_key
PidFile /run/sshd.pid
UsePAM no
UseDNS no
PasswordAuthentication no
LogLevel VERBOSE
Subsystem sftp /usr/lib/openssh/sftp-server
"""


class BedError(Exception):
    """What is wrong, where, and what to do: printed as it is."""


def say(text: str) -> None:
    print(f"hosts: {text}", file=sys.stderr, flush=True)


def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise BedError(f"{what} did not happen in {START_SECONDS:.0f} s")
        time.sleep(0.02)


# ---- programs


def programs() -> Path:
    """A directory with Debian's sshd, sftp-server and sudo, unpacked there and not installed: no
    daemon starts.
    """
    ready = CACHE / "programs"
    if not (ready / "usr/sbin/sshd").exists():
        say("getting sshd and sudo from Debian's packages (once)")
        work = CACHE / "unpacking"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        download(PACKAGES, work)
        for package in sorted(work.glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", str(package), str(work / "files")], check=True)
        (work / "files").rename(ready)
        shutil.rmtree(work)
    return ready


def download(packages: Sequence[str], where: Path) -> None:
    """These packages themselves, not what they need. Raises BedError with apt's words."""
    get = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *packages]
    if subprocess.run(get, cwd=where, capture_output=True).returncode == 0:
        return
    subprocess.run(["apt-get", "-q", "update"], check=True, capture_output=True)
    done = subprocess.run(get, cwd=where, capture_output=True, text=True)
    if done.returncode:
        raise BedError(f"apt-get cannot download {' '.join(packages)}: {done.stderr.strip()}")


# ---- namespaces


def started(argv: Sequence[str], log: Path) -> tuple[int, int]:
    """Starts a process tree in new namespaces; (pid of unshare, pid of the first one inside)."""
    with log.open("ab") as out:
        outer = subprocess.Popen(
            [
                "unshare",
                "--mount",
                "--uts",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
                *argv,
            ],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
    until(
        lambda: bool(children.exists() and children.read_text().split()), f"a start of {argv[-1]}"
    )
    return outer.pid, int(children.read_text().split()[0])


def start_time(pid: int) -> str | None:
    """Tells a process from a later one with the same pid; None if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return None


@dataclass
class Tree:
    """The processes of one set of namespaces: the kernel ends all of them with the first."""

    outer: int = 0
    first: int = 0
    since: str | None = None

    @property
    def runs(self) -> bool:
        return self.first > 0 and start_time(self.first) == self.since

    def start(self, argv: Sequence[str], log: Path) -> None:
        self.outer, self.first = started(argv, log)
        self.since = start_time(self.first)

    def stop(self) -> None:
        if self.runs:
            os.kill(self.first, signal.SIGKILL)
            until(lambda: not self.runs, f"the end of process {self.first}")
        with suppress(ChildProcessError):  # a child of ours only where this very process started it
            os.waitpid(self.outer, 0)

    def enter(self, argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
        inside = [
            "nsenter",
            "--target",
            str(self.first),
            "--mount",
            "--uts",
            "--net",
            "--pid",
            "--",
            *argv,
        ]
        return subprocess.run(inside, text=True, capture_output=True)


def ip(*words: str, inside: Tree | None = None) -> None:
    """One `ip` command here, or in a tree's network."""
    where = ["nsenter", "--target", str(inside.first), "--net", "--"] if inside else []
    done = subprocess.run([*where, "ip", *words], text=True, capture_output=True)
    if done.returncode:
        raise BedError(f"ip {' '.join(words)}: {done.stderr.strip()}")


# ---- one host


class Host:
    """One compute host. Its files outlive a stop(), as a disk does."""

    def __init__(self, base: Path, name: str, address: str, port: int, loopback: bool) -> None:
        self.dir, self.name, self.address, self.port, self.loopback = (
            base / name,
            name,
            address,
            port,
            loopback,
        )
        self.tree = Tree()

    # Life

    def create(self, login_key: str) -> None:
        for part in ("etc/ssh", "work-etc", "lib/nova", "work-lib", "usr", "work-usr", "root/.ssh"):
            (self.dir / part).mkdir(parents=True)
        (self.dir / "root").chmod(0o700)
        (self.dir / "root/.ssh").chmod(0o700)
        (self.dir / "root/.ssh/authorized_keys").write_text(login_key)
        (self.dir / "login_key.pub").write_text(login_key)
        os.chown(self.dir / "lib/nova", NOVA_UID, NOVA_UID)
        self._accounts()
        config = SSHD_CONFIG.format(port=self.port, address=self.address)
        (self.dir / "etc/ssh/sshd_config").write_text(config)
        (self.dir / "etc/sudoers").write_text("admin ALL=(ALL) NOPASSWD: ALL\n")
        (self.dir / "etc/sudoers").chmod(0o440)
        for kind in ("ed25519", "ecdsa"):
            self._host_key(kind)

    def _accounts(self) -> None:
        etc = self.dir / "etc"
        users = {
            "sshd": (SSHD_UID, "/run/sshd", "/usr/sbin/nologin"),
            "nova": (NOVA_UID, "/var/lib/nova", "/usr/sbin/nologin"),
            "admin": (ADMIN_UID, "/home/admin", "/bin/sh"),
        }
        rows = {
            "passwd": [
                f"{user}:x:{uid}:{uid}::{home}:{shell}\n"
                for user, (uid, home, shell) in users.items()
            ],
            "group": [f"{user}:x:{uid}:\n" for user, (uid, _, _) in users.items()],
            "shadow": [f"{user}:*:19000:0:99999:7:::\n" for user in users],
        }
        for file, lines in rows.items():
            shutil.copy2(Path("/etc", file), etc / file)
            with (etc / file).open("a") as out:
                out.writelines(lines)

    def _host_key(self, kind: str) -> None:
        path = self.dir / f"etc/ssh/ssh_host_{kind}_key"
        path.unlink(missing_ok=True)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", self.name, "-f", str(path)], check=True
        )

    def launch(self) -> None:
        """Starts its processes; ready() awaits them."""
        self._launch(programs())

    def _launch(self, programs: Path, *then: str, spaces: Sequence[str] = ()) -> None:
        """`then`: the program that the first process becomes, `spaces`: namespaces of its own
        besides the usual ones.
        """
        net = [] if self.loopback else ["--net"]
        address = "-" if self.loopback else f"{self.address}/24"
        init = ["/bin/sh", str(HERE / "init.sh"), str(self.dir), self.name, str(programs), address]
        self.tree.start([*net, *spaces, *init, *then], self.dir / "init.log")

    def ready(self) -> None:
        """Waits until it accepts connections."""
        mark = Path(f"/proc/{self.tree.first}/root/run/ready")
        until(lambda: mark.exists() or not self.tree.runs, f"the start of host {self.name}")
        if not self.tree.runs:
            raise self.broken()

    def broken(self) -> BedError:
        return BedError(
            f"host {self.name} did not start: {(self.dir / 'init.log').read_text().strip()}"
        )

    def stop(self) -> None:
        """Power off: every process ends at once, and its address falls silent."""
        self.tree.stop()

    # Looking at it and changing it, as root on its console

    def run(self, script: str, user: str = "root", check: bool = True) -> str:
        """What a POSIX shell script prints; raises where it fails, unless `check` is off."""
        argv = ["/bin/sh", "-c", script]
        if user != "root":
            argv = ["runuser", "-u", user, "--", *argv]
        done = self.tree.enter(argv)
        if check and done.returncode:
            raise AssertionError(
                f"{self.name}: {script!r} ended with {done.returncode}: {done.stderr.strip()}"
            )
        return done.stdout + (done.stderr if not check else "")

    def start_sshd(self) -> None:
        self.run("/usr/sbin/sshd -f /etc/ssh/sshd_config -E /run/sshd.log")

    def stop_sshd(self) -> None:
        """The listener and every connection: from now on connections are refused."""
        self.run(
            "pid=$(cat /run/sshd.pid) && kill $pid && while kill -0 $pid; do sleep 0.02; done; "
            "pkill -x sshd || :"
        )

    def renew_host_keys(self) -> None:
        """As a reinstallation does."""
        self.stop_sshd()
        for kind in ("ed25519", "ecdsa"):
            self.run(
                f"rm /etc/ssh/ssh_host_{kind}_key* && ssh-keygen -q -t {kind} -N '' -f "
                f"/etc/ssh/ssh_host_{kind}_key"
            )
        self.start_sshd()

    def tarpit(self) -> subprocess.Popen[bytes]:
        """In place of sshd something that accepts and sends a byte a second, for ever. End it with
        kill().
        """
        self.stop_sshd()
        code = (
            "import socket, threading, time\n"
            "def drip(peer):\n"
            "    try:\n"
            "        while True: peer.send(b'x'); time.sleep(1)\n"
            "    except OSError: peer.close()\n"
            f"server = socket.create_server(({self.address!r}, {self.port}))\n"
            "print('listening', flush=True)\n"
            "while True: threading.Thread(target=drip, args=(server.accept()[0],), "
            "daemon=True).start()\n"
        )
        net = [
            *("setpriv", "--pdeathsig", "KILL"),  # with the test, however that ends
            "nsenter",
            "--target",
            str(self.tree.first),
            "--net",
            "--",
            sys.executable,
            "-c",
            code,
        ]
        process = subprocess.Popen(net, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    def sessions(self) -> int:
        """Logins that sshd has accepted since the host started."""
        return int(self.run("grep -c 'Accepted publickey' /run/sshd.log || :").strip() or 0)

    @property
    def known_hosts(self) -> str:
        """Lines of a known hosts file for this host, under its name and its address."""
        names = [self.name, self.address]
        spelled = ",".join(name if self.port == 22 else f"[{name}]:{self.port}" for name in names)
        keys = sorted((self.dir / "etc/ssh").glob("ssh_host_*_key.pub"))
        return "".join(f"{spelled} {' '.join(key.read_text().split()[:2])}\n" for key in keys)


# ---- the bed


class Bed:
    """Some hosts on one bridge, which lives in a namespace too; this machine has one leg in their
    network.
    """

    def __init__(
        self,
        run: Path,
        count: int,
        loopback: bool = False,
        network: str = NETWORK,
        kind: Callable[..., Host] = Host,
    ) -> None:
        """`loopback`: the hosts share this machine's network and listen on 127.77.0.N:22077."""
        self.run, self.loopback, self.network = run, loopback, network
        self.switch = Tree()
        self.hosts = {
            name: kind(run, name, address, port, loopback)
            for name, address, port in self._places(count)
        }

    def _places(self, count: int) -> Iterator[tuple[str, str, int]]:
        for number in range(1, count + 1):
            if self.loopback:
                yield f"cmp{number}", f"127.77.{number // 250}.{number % 250 + 1}", 22077
            else:
                yield f"cmp{number}", f"{self.network}.{number}", 22

    def __getitem__(self, name: str) -> Host:
        return self.hosts[name]

    @property
    def leg(self) -> str:
        """This machine's interface in the hosts' network."""
        return f"qh{self.network.rsplit('.', 1)[1]}"

    @property
    def login_key(self) -> str:
        """The private key that root and admin of every host accept."""
        return (self.run / "login_key").read_text()

    @property
    def known_hosts(self) -> str:
        return "".join(host.known_hosts for host in self.hosts.values())

    def up(self) -> Bed:
        if os.geteuid() != 0:
            raise BedError("namespaces and mounts need root: run this as root")
        self.down()
        try:
            self._up()
        except BaseException:
            self.down()
            raise
        return self

    def _up(self) -> None:
        shutil.rmtree(self.run, ignore_errors=True)
        self.run.mkdir(parents=True)
        key = self.run / "login_key"
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "operator", "-f", str(key)],
            check=True,
        )
        if not self.loopback:
            self._make_switch()
        for host in self.hosts.values():
            host.create((self.run / "login_key.pub").read_text())
            self.launch(host)
        for host in self.hosts.values():
            host.ready()

    def _make_switch(self) -> None:
        self.switch.start(
            ["--net", "/bin/sh", "-c", "while :; do sleep 3600 & wait $!; done"],
            self.run / "switch.log",
        )
        self._write_state()
        switch = str(self.switch.first)
        ip("link", "add", "switch", "up", "type", "bridge", inside=self.switch)
        ip("link", "add", self.leg, "type", "veth", "peer", "name", "machine", "netns", switch)
        ip("address", "add", f"{self.network}.254/24", "dev", self.leg)
        ip("link", "set", self.leg, "up")
        ip("link", "set", "machine", "up", "master", "switch", inside=self.switch)

    def start(self, name: str) -> None:
        """Power on a host that was stopped."""
        self.launch(self.hosts[name])
        self.hosts[name].ready()

    def launch(self, host: Host) -> None:
        host.launch()
        self._write_state()
        if self.loopback:
            return
        try:
            self._plug_in(host)
        except BedError as error:
            raise (error if host.tree.runs else host.broken()) from error

    def _plug_in(self, host: Host) -> None:
        port = f"{self.leg}-{host.name}"
        # The kernel takes away the network of a host that stopped in its own time, and the port of
        # that host's last life with it: until then the name is taken.
        with suppress(BedError):
            ip("link", "delete", port, inside=self.switch)
        # Both ends are made here, where both pids are known, and then moved. A host keeps its
        # address on the wire when it starts again: this machine would go on sending to the old one
        # for a while.
        wire = "02:" + ":".join(f"{int(part):02x}" for part in (*host.address.split("."), "0"))
        ip(
            "link",
            "add",
            port,
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "address",
            wire,
            "netns",
            str(host.tree.first),
        )
        ip("link", "set", port, "netns", str(self.switch.first))
        ip("link", "set", port, "up", "master", "switch", inside=self.switch)

    def down(self) -> None:
        """Ends what up() started, by pid, also what an earlier run left behind."""
        for tree in self._trees():
            tree.stop()
        if Path(f"/sys/class/net/{self.leg}").exists():
            subprocess.run(["ip", "link", "del", self.leg], check=False, capture_output=True)
        (self.run / "state.json").unlink(missing_ok=True)

    def _trees(self) -> list[Tree]:
        mine = [host.tree for host in self.hosts.values()] + [self.switch]
        try:
            left = json.loads((self.run / "state.json").read_text())
        except FileNotFoundError:
            return mine
        known = {tree.first for tree in mine}
        return mine + [Tree(**row) for row in left.values() if row["first"] not in known]

    def _write_state(self) -> None:
        trees = {name: asdict(host.tree) for name, host in self.hosts.items()}
        (self.run / "state.json").write_text(json.dumps(trees | {"-switch": asdict(self.switch)}))


@contextmanager
def running(
    count: int,
    run: Path,
    loopback: bool = False,
    network: str = NETWORK,
    kind: Callable[..., Host] = Host,
) -> Iterator[Bed]:
    """Hosts for the time of a `with` block; one in the same directory or network is waited for."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{'loopback' if loopback else network}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        bed = Bed(run, count, loopback, network, kind)
        try:
            yield bed.up()
        finally:
            bed.down()


# ---- by hand


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["up", "down"])
    parser.add_argument(
        "--count", type=int, default=5, help="how many hosts, cmp1 to cmpN (default 5)"
    )
    parser.add_argument(
        "--run", type=Path, default=Path(os.environ.get("QUIESCE_HOSTS_RUN") or CACHE / "run")
    )
    options = parser.parse_args()
    bed = Bed(options.run.resolve(), options.count)
    if options.command == "down":
        bed.down()
        return 0
    bed.up()
    (bed.run / "known_hosts").write_text(bed.known_hosts)
    for host in bed.hosts.values():
        print(f"{host.name} {host.address}")
    say(
        f"log in: ssh -i {bed.run}/login_key -o UserKnownHostsFile={bed.run}/known_hosts "
        f"root@{bed['cmp1'].address}"
    )
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BedError, subprocess.CalledProcessError) as error:
        sys.exit(f"hosts: {error}")
