"""The proof of a path on real sshd, scp and sftp-server: what a keyring's visit finds where Nova's
own copy would fail, and that nothing of a check is left on either host.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest
from tests.beds.hosts.hosts import Bed, Host, running, until

from quiesce.api.host import KeyType
from quiesce.keyring.act import VisitOrder, visit
from quiesce.keyring.model import DesiredState, HostLayout, Identity, PathTarget, VisitResult
from quiesce.ssh.login import Login, login_key
from quiesce.ssh.pins import read_pins
from quiesce.ssh.private_keys import generate
from quiesce.ssh.session import Target

HOME, INSTANCES = "/var/lib/nova", "/var/lib/nova/instances"
IDENTITY = Identity("openstack", "cold")
LAYOUT = HostLayout(IDENTITY, "nova", HOME, "/bin/bash", "/etc/ssh/ssh_known_hosts", INSTANCES)
COMPUTE = "import time\nwhile True: time.sleep(3600)\n"
"""What runs in place of nova-compute: a Python program of that name."""


@dataclass
class Keyring:
    """What the operator does on the hosts of a bed for one keyring."""

    bed: Bed
    desired: DesiredState
    login: Login
    seconds: float = 60.0
    instances: dict[str, str] = field(default_factory=dict)

    def visit(self, name: str, *targets: str) -> VisitResult:
        return visit(self._order(name, self.desired, targets), self.seconds)

    def remove(self, name: str) -> VisitResult:
        return visit(self._order(name, None, ()), self.seconds)

    def path(self, source: str, target: str) -> tuple[str | None, str]:
        """Reason and message of the check; the source is as desired."""
        result = self.visit(source, target)
        assert result.failure is None, result.failure
        ((checked, check),) = result.checks
        assert checked == target
        return check.reason, check.message

    def _order(
        self, name: str, desired: DesiredState | None, targets: tuple[str, ...]
    ) -> VisitOrder:
        host = self.bed[name]
        pinned = read_pins(host.known_hosts, "the bed").of([host.address], host.port)
        ends = [PathTarget(each, self.bed[each].address, each) for each in targets]
        known = [replace(end, instances=self.instances.get(end.name)) for end in ends]
        target = Target(name, host.address, host.port)
        return VisitOrder(target, self.login, LAYOUT, desired, pinned, targets=tuple(known))


def keyring_of(bed: Bed) -> Keyring:
    lines = [
        f"{line} {IDENTITY.marker}"
        for host in bed.hosts.values()
        for line in host.known_hosts.splitlines()
    ]
    desired = DesiredState(
        layout=LAYOUT,
        known_lines=tuple(sorted(lines)),
        hosts=tuple((host.address, (host.name, host.address)) for host in bed.hosts.values()),
        port=22,
        key=generate(KeyType.ED25519),
        previous=(),
        sources=(),
        may_switch=True,
    )
    return Keyring(bed, desired, Login("root", login_key(bed.login_key.encode(), "the bed's key")))


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyring]:
    """Two hosts with the keyring's keys, and the folder of the servers' disks."""
    with running(2, tmp_path_factory.mktemp("hosts") / "hosts") as bed:
        keyring = keyring_of(bed)
        for name in bed.hosts:
            bed[name].run(f"install -d -o nova -g nova {INSTANCES}")
            assert keyring.visit(name).failure is None
        yield keyring


def left_behind(bed: Bed) -> dict[str, str]:
    """What a check made and did not remove."""
    script = f"find {HOME} /tmp -name '*quiesce*' -not -path '{HOME}/.ssh/quiesce.*'"
    return {name: bed[name].run(script, check=False).strip() for name in bed.hosts}


NOTHING = {"cmp1": "", "cmp2": ""}


@contextmanager
def changed(host: Host, change: str, undo: str) -> Iterator[None]:
    host.run(change)
    try:
        yield
    finally:
        host.run(undo)


SSHD = "kill $(cat /run/sshd.pid); while [ -e /run/sshd.pid ]; do sleep 0.02; done; "
RESTART = f"{SSHD}/usr/sbin/sshd -f /etc/ssh/sshd_config -E /run/sshd.log"
TMPFS = f"chown nova: {INSTANCES}"

BROKEN: dict[str, tuple[str, str, str, str]] = {
    "no sftp subsystem": (
        f"sed -i 's/^Subsystem/#Subsystem/' /etc/ssh/sshd_config; {RESTART}",
        f"sed -i 's/^#Subsystem/Subsystem/' /etc/ssh/sshd_config; {RESTART}",
        "NoSFTP",
        "subsystem request failed",
    ),
    "sftp-server is not installed": (
        f"sed -i 's#sftp-server#none/sftp-server#' /etc/ssh/sshd_config; {RESTART}",
        f"sed -i 's#none/sftp-server#sftp-server#' /etc/ssh/sshd_config; {RESTART}",
        "NoSFTP",
        "scp: Connection closed",
    ),
    "read-only folder of the disks": (
        f"mount -t tmpfs -o ro tmpfs {INSTANCES}",
        f"umount {INSTANCES}",
        "ReadOnly",
        "Read-only file system",
    ),
    "folder of the disks of another user": (
        f"chown root: {INSTANCES}",
        f"chown nova: {INSTANCES}",
        "NotWritable",
        "Permission denied",
    ),
    "no space for a file": (
        # One inode for the folder of the check, none for a file in it: as a quota of files does.
        f"mount -t tmpfs -o nr_inodes=2 tmpfs {INSTANCES} && {TMPFS}",
        f"umount {INSTANCES}",
        "DiskFull",
        "No space left",
    ),
    "a shell that prints": (
        f"echo 'echo Welcome' >{HOME}/.bashrc",
        f"rm {HOME}/.bashrc",
        "ShellPrints",
        "message too long",
    ),
    "a shell that allows no command": (
        "usermod -s /usr/sbin/nologin nova",
        "usermod -s /bin/bash nova",
        "ShellNotAllowed",
        "This account is currently not available.",
    ),
    "another host key than the published one": (
        "ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/other_key && "
        f"sed -i 's#^HostKey .*#HostKey /etc/ssh/other_key#' /etc/ssh/sshd_config; {RESTART}",
        "rm /etc/ssh/other_key*; sed -i 's#^HostKey .*#HostKey /etc/ssh/ssh_host_ed25519_key#' "
        f"/etc/ssh/sshd_config; {RESTART}",
        "HostKeyMismatch",
        "Host key verification failed.",
    ),
}
"""What is done to the target, what undoes it, and reason and words of the check."""


def test_a_path_that_works_is_proven_and_nothing_is_left(standing: Keyring) -> None:
    assert standing.path("cmp1", "cmp2") == (None, "")
    assert left_behind(standing.bed) == NOTHING


@pytest.mark.field_case("F3")
@pytest.mark.parametrize("kind", BROKEN)
def test_where_a_login_works_and_a_copy_does_not(standing: Keyring, kind: str) -> None:
    change, undo, reason, words = BROKEN[kind]
    with changed(standing.bed["cmp2"], change, undo):
        found, message = standing.path("cmp1", "cmp2")
        assert (found, words in message) == (reason, True), (found, message)
        assert "\t" not in message
    assert standing.path("cmp1", "cmp2") == (None, "")
    assert left_behind(standing.bed) == NOTHING


@pytest.mark.field_case("F9", "D8")
def test_a_base_image_can_be_fetched_by_the_name_of_the_source(standing: Keyring) -> None:
    """As the destination does where Glance no longer has the image (libvirt/utils.py copy_image,
    receive=True); the name resolves nowhere.
    """
    cmp1, cmp2 = standing.bed["cmp1"], standing.bed["cmp2"]
    assert "cmp1" not in cmp2.run("getent hosts cmp1 || :")
    cmp1.run(f"mkdir -p {INSTANCES}/_base && echo base >{INSTANCES}/_base/image", "nova")
    cmp2.run(f"mkdir -p {INSTANCES}/_base", "nova")
    cmp2.run(f"scp -C -r cmp1:{INSTANCES}/_base/image {INSTANCES}/_base/image", "nova")
    assert cmp2.run(f"cat {INSTANCES}/_base/image") == "base\n"


@pytest.mark.field_case("F9", "D8")
def test_a_name_that_leads_to_another_machine(standing: Keyring) -> None:
    config = f"{HOME}/.ssh/quiesce.openstack.cold.conf"
    wrong = replace(
        standing.desired,
        hosts=tuple(
            (standing.bed["cmp1"].address if names[0] == "cmp2" else address, names)
            for address, names in standing.desired.hosts
        ),
    )
    right, standing.desired = standing.desired, wrong
    try:
        assert standing.path("cmp1", "cmp2")[0] == "WrongHost"
    finally:
        standing.desired = right
    assert standing.path("cmp1", "cmp2") == (None, "")
    assert "ServerAliveInterval 15" in standing.bed["cmp1"].run(f"cat {config}")
    assert left_behind(standing.bed) == NOTHING


@pytest.mark.field_case("F3")
def test_a_check_that_broke_off_leaves_nothing(standing: Keyring) -> None:
    """The source loses its power in the middle: the next check, or the target's visit, tidies."""
    cmp2, source = standing.bed["cmp2"], "$(printf cmp1 | sha256sum | cut -c1-12)"
    leave = f"d={INSTANCES}/.quiesce.openstack.cold.{source}; mkdir $d; touch $d/copy"
    cmp2.run(leave, "nova")
    assert standing.visit("cmp2").changed == (), "it may be in use"
    assert left_behind(standing.bed) != NOTHING
    assert standing.path("cmp1", "cmp2") == (None, "")
    assert left_behind(standing.bed) == NOTHING

    cmp2.run(f"{leave}; touch -d '1 hour ago' {INSTANCES}/.quiesce.*", "nova")
    assert standing.visit("cmp2").changed == ("stale temporary files",)
    assert left_behind(standing.bed) == NOTHING


@pytest.mark.field_case("F3")
def test_the_connection_to_the_source_breaks_during_a_check(standing: Keyring) -> None:
    """sshd on the source is ended while scp hangs."""
    cmp2, hang = standing.bed["cmp2"], "/usr/lib/openssh/hang"
    cmp2.run(f"printf '#!/bin/sh\\nexec sleep 1000\\n' >{hang}; chmod +x {hang}")
    change = f"sed -i 's#^Subsystem.*#Subsystem sftp {hang}#' /etc/ssh/sshd_config; {RESTART}"
    undo = (
        "sed -i 's#^Subsystem.*#Subsystem sftp /usr/lib/openssh/sftp-server#' "
        f"/etc/ssh/sshd_config; {RESTART}"
    )
    with changed(cmp2, change, undo):
        standing.seconds = 3.0
        try:
            result = standing.visit("cmp1", "cmp2")
        finally:
            standing.seconds = 60.0
        assert result.failure is not None
        assert result.failure.reason == "Timeout"
        until(lambda: left_behind(standing.bed) == NOTHING, "a clean host")
    assert standing.path("cmp1", "cmp2") == (None, "")


@pytest.mark.field_case("F3")
def test_a_removal_takes_what_a_check_left(standing: Keyring) -> None:
    cmp2 = standing.bed["cmp2"]
    cmp2.run(f"mkdir {INSTANCES}/.quiesce.openstack.cold.0123456789ab", "nova")
    assert standing.remove("cmp2").removed
    assert left_behind(standing.bed) == NOTHING
    assert standing.visit("cmp2").failure is None


# ---- nova-compute in a container


@contextmanager
def nova_compute(host: Host, *mounts: str, user: str = "nova") -> Iterator[None]:
    """A running nova-compute; with `mounts` (shell commands) in a mount namespace of its own."""
    program = "/tmp/nova-compute"
    host.run(f"cat >{program} <<'END'\n{COMPUTE}END\nchmod 755 {program}")
    start = f"exec setpriv --reuid {user} --regid {user} --init-groups python3 {program}"
    inside = "; ".join([*mounts, "echo ready >/run/compute", start])
    host.run(
        f"rm -f /run/compute; setsid unshare --mount --propagation slave sh -ec '{inside}' "
        "</dev/null >/dev/null 2>&1 & echo $! >/run/compute.pid; "
        "while [ ! -e /run/compute ]; do sleep 0.02; done; "
        "until grep -qz '/nova-compute$' /proc/$(cat /run/compute.pid)/cmdline; do sleep 0.02; done"
    )
    try:
        yield
    finally:
        host.run("kill -9 $(cat /run/compute.pid)")


OWN_HOME = ("mkdir -p /run/own/.ssh", "chown -R nova: /run/own", f"mount --bind /run/own {HOME}")
OWN_ACCOUNTS = (
    "sed s,:/var/lib/nova:,:/home/nova:, /etc/passwd >/run/passwd",
    "mount --bind /run/passwd /etc/passwd",
)


@pytest.mark.field_case("F21")
def test_nova_compute_on_the_host_or_with_the_hosts_files_is_fine(standing: Keyring) -> None:
    cmp1 = standing.bed["cmp1"]
    for mounts in ((), ("mount -t tmpfs tmpfs /mnt",)):
        with nova_compute(cmp1, *mounts):
            result = standing.visit("cmp1", "cmp2")
            assert result.failure is None
            assert result.observation
            (view,) = result.observation.computes
            assert (view.where, view.home, view.same_home) == ("host", HOME, True)
            assert [check.works for _, check in result.checks] == [True]


@pytest.mark.field_case("F21")
@pytest.mark.parametrize(
    ("mounts", "user", "reason", "words"),
    [
        (OWN_HOME, "nova", "HiddenFromNova", "/var/lib/nova there is not the host's"),
        (OWN_ACCOUNTS, "nova", "HiddenFromNova", "is /home/nova, not /var/lib/nova"),
        (
            ("mount -t tmpfs tmpfs /etc/ssh",),
            "nova",
            "HiddenFromNova",
            "does not see /etc/ssh/ssh_known_hosts",
        ),
        ((), "admin", "WrongAccount", "with user id 64062, not as nova (id 64060)"),
    ],
)
def test_keys_that_nova_compute_would_not_see_are_refused(
    standing: Keyring, mounts: tuple[str, ...], user: str, reason: str, words: str
) -> None:
    with nova_compute(standing.bed["cmp1"], *mounts, user=user):
        result = standing.visit("cmp1", "cmp2")
    assert result.failure is not None
    assert (result.failure.reason, result.failure.needs_person) == (reason, True)
    assert words in result.failure.message
    assert result.failure.remedies
    assert (result.changed, result.checks) == ((), ())
    assert standing.visit("cmp1").failure is None, "without it all is well again"


@pytest.mark.field_case("F21")
def test_nothing_is_made_on_a_host_whose_nova_compute_lives_in_a_container(
    standing: Keyring,
) -> None:
    """No account on the host: the one of the container is another."""
    cmp1 = standing.bed["cmp1"]
    assert standing.remove("cmp1").removed
    own = ("mount -t tmpfs -o uid=64060 tmpfs /var/lib/nova",)
    with nova_compute(cmp1, *own):
        cmp1.run("cp -a /etc/passwd /run/kept; sed -i /^nova:/d /etc/passwd")
        try:
            before = cmp1.run(f"cat /etc/passwd; find {HOME} /etc/ssh")
            result = standing.visit("cmp1", "cmp2")
            assert result.failure is not None
            assert result.failure.reason == "HiddenFromNova"
            assert cmp1.run(f"cat /etc/passwd; find {HOME} /etc/ssh") == before
        finally:
            cmp1.run("cat /run/kept >/etc/passwd")
    assert standing.visit("cmp1", "cmp2").failure is None


@pytest.mark.field_case("F21")
def test_a_copy_that_does_not_land_where_nova_compute_looks_is_not_proven(
    standing: Keyring,
) -> None:
    """Its own folder of disks, with the host's home: sshd puts copies into the host's."""
    own = ("mkdir -p /run/disks", f"mount --bind /run/disks {INSTANCES}")
    with nova_compute(standing.bed["cmp2"], *own):
        seen = standing.visit("cmp2")
        assert seen.failure is None
        assert seen.observation
        (view,) = seen.observation.computes
        assert view.instances
        standing.instances = {"cmp2": view.instances}
        try:
            assert standing.path("cmp1", "cmp2")[0] == "WrongFolder"
            assert left_behind(standing.bed) == NOTHING
        finally:
            standing.instances = {}
