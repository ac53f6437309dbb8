"""A booted host: Debian's systemd as first process, sshd, and what else a kind of host runs.

Nothing is installed on this machine: packages are unpacked into the cache and seen by the host
alone.
"""

from __future__ import annotations

import fcntl
import hashlib
import platform
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from tests.beds.hosts import hosts
from tests.beds.hosts.hosts import CACHE, SSHD_UID, Bed, BedError, Host, running, say, until

BASE = ("systemd", "dbus", "openssh-server", "sudo")  # packages of every booted host
BACKPORT = "/backports"  # after the name of a package: taken from the backports of its release
FRONT, THIRD = hosts.NETWORK.rsplit(".", 1)
NETWORK = f"{FRONT}.{(int(THIRD) + 100) % 256}"  # beside that of the other hosts
MESSAGEBUS_UID, DOCKER_GID = SSHD_UID + 10, SSHD_UID + 11
UNITS = Path("/lib/systemd/system")
MASKED = (  # they would act on this machine's kernel and devices
    "systemd-udevd.service",
    "systemd-udev-trigger.service",
    "systemd-modules-load.service",
    "systemd-logind.service",
    "getty.target",
    "dev-hugepages.mount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
)
# No CAP_SYS_RESOURCE and no cgroup controller may be given: crun insists on a limit for locked
# memory that needs the first, podman's default for the number of processes needs the second.
CONTAINERS_CONF = '[containers]\npids_limit = 0\n[engine]\nruntime = "runc"\n'
DAEMON_JSON = '{"bridge": "none", "iptables": false, "ip6tables": false, "ip-forward": false}\n'


def packages(names: Sequence[str]) -> Path:
    """A directory with the files of these packages and their dependencies, /lib being /usr/lib."""
    ready = CACHE / f"packages-{hashlib.sha256(' '.join(names).encode()).hexdigest()[:8]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "packages.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # hosts of another network may be in want of them too
        if not ready.exists():
            say(f"getting {', '.join(names)} from Debian's packages (once)")
            with tempfile.TemporaryDirectory(dir=CACHE) as work:
                _download(names, Path(work))
                for package in sorted(Path(work).glob("*.deb")):
                    _unpack(package, Path(work, "files"))
                Path(work, "files").rename(ready)
    return ready


def _download(names: Sequence[str], into: Path) -> None:
    """With dependencies that this machine lacks; the packages themselves also where it has them.

    What can't be had of the backports is of the release itself.
    """
    (into / "partial").mkdir()
    own = [name.removesuffix(BACKPORT) for name in names]
    if own != list(names):
        try:
            source, suite = _backports(into)
            _get([name.replace(BACKPORT, f"/{suite}") for name in names], into, source, update=True)
        except BedError as error:
            say(f"no backports are used: {error}")
            for package in into.glob("*.deb"):
                package.unlink()
        else:
            return
    try:
        _get(own, into)
    except BedError:
        _get(own, into, update=True)


def _get(
    names: Sequence[str], into: Path, source: Sequence[str] = (), *, update: bool = False
) -> None:
    """`source`: options of apt-get. Raises BedError with its words."""
    options = (
        "--yes",
        "--download-only",
        "--reinstall",
        "--no-install-recommends",
        "-o",
        "APT::Sandbox::User=root",
    )
    place = ("-o", f"Dir::Cache::archives={into}", "-o", "Debug::NoLocking=1")
    steps = [["apt-get", "-q", *source, *options, *place, "install", *names]]
    if update:
        steps.insert(0, ["apt-get", "-q", *source, "-o", "DPkg::Lock::Timeout=300", "update"])
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True)
        if done.returncode:
            raise BedError(f"apt-get cannot download {' '.join(names)}: {done.stderr.strip()}")


def _backports(work: Path) -> tuple[tuple[str, ...], str]:
    """Options of apt-get with which it knows backports too, and what they are called.

    They come from where this machine gets its other packages; its own lists stay as they are.
    """
    asked = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)"]
    printed = subprocess.run(
        [*asked, "Created-By: Packages"], check=True, capture_output=True, text=True
    ).stdout
    release = platform.freedesktop_os_release()["VERSION_CODENAME"]
    places = [line.removesuffix(f" {release} main") for line in printed.splitlines()]
    known = [place for place in places if " " not in place]
    if not known:
        raise BedError(f"apt has no packages of {release} main on this machine: see its sources")
    suite = f"{release}-backports"
    own = Path("/etc/apt/sources.list")
    listed = work / "sources.list"
    listed.write_text(f"{own.read_text() if own.exists() else ''}\ndeb {known[0]} {suite} main\n")
    (work / "lists" / "partial").mkdir(parents=True)
    lists = f"Dir::State::Lists={work / 'lists'}"
    return ("-o", f"Dir::Etc::SourceList={listed}", "-o", lists), suite


def _unpack(package: Path, into: Path) -> None:
    for name in ("bin", "sbin", "lib", "lib64"):
        (into / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (into / name).is_symlink():
            (into / name).symlink_to(f"usr/{name}")
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as files:
        subprocess.run(
            ["tar", "-x", "--keep-directory-symlink", "-C", into], stdin=files.stdout, check=True
        )
    if files.returncode:
        raise BedError(
            f"{package} cannot be unpacked: dpkg-deb ended with {files.returncode}; is the disk "
            "full?"
        )


class Booted(Host):
    """Its disks outlive a stop(): starting it again is a reboot.

    A kind of host adds to these. `ENABLED`: the units that the packages' maintainer scripts enable,
    by the folder of the links. `DISKS`: folders of /var/lib that must not be on an overlay.
    """

    PACKAGES: ClassVar[tuple[str, ...]] = BASE
    ENABLED: ClassVar[Mapping[str, tuple[str, ...]]] = {"multi-user.target.wants": ("ssh.service",)}
    MASKED: ClassVar[tuple[str, ...]] = MASKED
    DISKS: ClassVar[tuple[str, ...]] = ()

    def create(self, login_key: str) -> None:
        super().create(login_key)
        for part in ("units", "disks", *(f"disks/{name}" for name in self.DISKS)):
            (self.dir / part).mkdir()
        for name, text in self.settings().items():
            path = self.dir / "etc" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self._units()

    def settings(self) -> dict[str, str]:
        """Files of /etc, by their path below it."""
        return {
            "fstab": "",
            "hostname": f"{self.name}\n",
            "machine-id": f"{uuid.uuid4().hex}\n",
            "default/ssh": "SSHD_OPTS='-E /run/sshd.log'\n",
            # A podman container restarts itself at shutdown.
            "systemd/system.conf": "[Manager]\nDefaultTimeoutStopSec=5s\n",
        }

    def _accounts(self) -> None:
        super()._accounts()
        self.add_rows(
            "passwd",
            f"messagebus:x:{MESSAGEBUS_UID}:{MESSAGEBUS_UID}::/nonexistent:/usr/sbin/nologin\n",
        )
        self.add_rows("group", f"messagebus:x:{MESSAGEBUS_UID}:\n")

    def add_rows(self, file: str, rows: str) -> None:
        """Accounts: lines for /etc/passwd or /etc/group."""
        with (self.dir / "etc" / file).open("a") as out:
            out.write(rows)

    def _units(self) -> None:
        units = self.dir / "units"
        (units / "default.target").symlink_to(UNITS / "multi-user.target")
        for folder, names in self.ENABLED.items():
            (units / folder).mkdir()
            for name in names:
                (units / folder / name).symlink_to(UNITS / name)
        for name in self.MASKED:
            (units / name).symlink_to("/dev/null")

    @property
    def group(self) -> str:
        """Its control group, in the root of the hierarchy."""
        return f"quiesce-{self.address}"

    def launch(self) -> None:
        shutil.copy(Path(__file__).with_name("boot.sh"), self.dir)
        self._launch(packages(self.PACKAGES), "/bin/sh", "boot.sh", self.group, spaces=("--ipc",))

    def ready(self) -> None:
        """Waits until all that starts at boot has started."""
        systemd = Path("/proc", str(self.tree.first), "root", "run", "systemd", "private")
        until(lambda: systemd.exists() or not self.tree.runs, f"the boot of host {self.name}")
        if not self.tree.runs:
            raise self.broken()
        state = self.run(
            "timeout 60 systemctl is-system-running --wait 2>/dev/null", check=False
        ).strip()
        if state != "running":
            failed = self.run("systemctl --failed --no-legend --plain", check=False)
            raise BedError(
                f"host {self.name} is {state or 'not up after 60 s'}; failed units: "
                f"{failed or 'none'}"
            )

    def power_off(self) -> None:
        """An orderly shutdown: units are stopped."""
        self.run("systemctl poweroff --no-block")
        until(lambda: not self.tree.runs, f"the shutdown of host {self.name}")
        self.stop()


class ContainerHost(Booted):
    """With podman and dockerd."""

    PACKAGES = (*BASE, "podman", "netavark", "docker.io", "busybox-static")
    ENABLED: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "multi-user.target.wants": ("ssh.service", "docker.service", "containerd.service"),
        "sockets.target.wants": ("docker.socket",),
        "default.target.wants": ("podman-restart.service",),
    }
    MASKED = (*MASKED, "podman.socket")
    DISKS = ("containers", "docker")

    def settings(self) -> dict[str, str]:
        return super().settings() | {
            "docker/daemon.json": DAEMON_JSON,
            "containers/containers.conf": CONTAINERS_CONF,
        }

    def _accounts(self) -> None:
        super()._accounts()
        self.add_rows("group", f"docker:x:{DOCKER_GID}:\n")


@contextmanager
def booted(count: int) -> Iterator[Bed]:
    """Container hosts for the time of a `with` block; what an earlier run left behind is taken down
    first.
    """
    with running(count, CACHE / f"booted-{NETWORK}", network=NETWORK, kind=ContainerHost) as bed:
        groups = [host.group for host in bed.hosts.values() if isinstance(host, Booted)]
        try:
            yield bed
        finally:
            bed.down()
            remove_groups(groups)


def remove_groups(groups: list[str]) -> None:
    """Control groups without a process, where they are still there."""
    each = 'for group; do if [ -d "$group" ]; then find "$group" -depth -type d -delete; fi; done'
    script = f"mount -t cgroup2 cgroup2 /mnt && cd /mnt && {each}"
    subprocess.run(["unshare", "--mount", "/bin/sh", "-c", script, "-", *groups], check=True)
