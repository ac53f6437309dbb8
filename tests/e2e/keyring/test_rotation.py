"""The key is rotated during constant logins: none fails, whenever the operator is killed."""

import base64
import re
import secrets
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.beds.hosts.hosts import Bed
from tests.e2e.keyring.conftest import (
    NAME,
    RARELY,
    Keyring,
    Standing,
    nova_login,
    reached,
    standing_keyring,
)
from tests.harness.kubernetes import Kube, Operator, condition
from tests.harness.openstack import Lab, until

PAIRS = (("cmp1", "cmp2"), ("cmp4", "cmp5"), ("cmp5", "cmp1"))
DEAD = "cmp3"
NEVER_BY_ITSELF = ("--idle-interval", "1h")
"""With `checkEvery` of an hour, too: what happens is asked for, or follows from that."""


@pytest.fixture(scope="module")
def standing(
    kube: Kube, cloud: Lab, account: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Standing]:
    with standing_keyring(
        kube, cloud, account, tmp_path_factory.mktemp("standing"), NEVER_BY_ITSELF
    ) as found:
        yield found


@contextmanager
def logins_without_pause(bed: Bed) -> Iterator[dict[tuple[str, str], Path]]:
    """As nova from host to host, over and over.

    Each result is a line in a file of the source: `ok`, or ssh's error.
    """
    loops, logs, run = [], {}, secrets.token_hex(4)
    for source, target in PAIRS:
        log = bed[source].dir / f"root/logins-{target}-{run}"
        login = f"ssh -n -o BatchMode=yes {bed[target].address} true"
        once = f'words=$({login} 2>&1) && echo ok || echo "failed $words"'
        script = f"while [ ! -e /tmp/ended-{run} ]; do {once}; done"
        inside = [
            "nsenter",
            "--target",
            str(bed[source].tree.first),
            "--mount",
            "--uts",
            "--net",
            "--pid",
            "--",
        ]
        with log.open("w") as out:
            loops.append(
                subprocess.Popen(
                    [*inside, "runuser", "-u", "nova", "--", "/bin/sh", "-c", script], stdout=out
                )
            )
        logs[(source, target)] = log
    try:
        yield logs
    finally:
        for source, _ in PAIRS:
            bed[source].run(f"touch /tmp/ended-{run}")
        for loop in loops:
            loop.wait()


@contextmanager
def process_lists() -> Iterator[set[bytes]]:
    """Every command line of this machine and its hosts that could be seen meanwhile."""
    seen: set[bytes] = set()
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(entry.read_bytes())
                except OSError:
                    continue  # it has ended

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        ended.set()
        watcher.join()


def no_login_failed(logs: dict[tuple[str, str], Path]) -> None:
    counts = {pair: len(ends(log)) for pair, log in logs.items()}
    until(
        "logins after it",
        lambda: all(len(ends(log)) > counts[pair] + 3 for pair, log in logs.items()),
    )
    for pair, log in logs.items():
        assert set(ends(log)) == {"ok"}, f"{pair}: {[end for end in ends(log) if end != 'ok'][:3]}"


def ends(log: Path) -> list[str]:
    return log.read_text().splitlines()


class Hosts:
    """What the disks of the hosts show, read from outside: often enough to catch every step."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed

    def accepts(self, name: str) -> int:
        """How many keys our lines let in."""
        return self._text(name, "authorized_keys").count("quiesce:")

    def uses(self, name: str) -> str:
        """The key that our settings name."""
        found = re.search(
            r"IdentityFile .*\.([0-9a-f]{12})$", self._text(name, "quiesce.*.conf"), re.MULTILINE
        )
        return found[1] if found else ""

    @property
    def in_use(self) -> set[str]:
        return {self.uses(name) for name in self.bed.hosts}

    def private_keys(self, name: str) -> int:
        return sum(
            1
            for path in self._ssh(name).glob("quiesce.*")
            if re.search(r"\.[0-9a-f]{12}$", path.name)
        )

    def temporary_files(self) -> list[Path]:
        return [
            path for name in self.bed.hosts for path in self.bed[name].dir.glob("**/.tmp.quiesce*")
        ]

    def _ssh(self, name: str) -> Path:
        return self.bed[name].dir / "lib/nova/.ssh"

    def _text(self, name: str, pattern: str) -> str:
        try:
            return "".join(path.read_text() for path in self._ssh(name).glob(pattern))
        except FileNotFoundError:
            return ""  # it was renamed just now


@pytest.fixture
def disabled(cloud: Lab) -> Iterator[str]:
    """A host to which Nova moves nothing."""
    name = "cmp2"
    cloud.set_service(name, "disabled")
    yield name
    cloud.set_service(name, "enabled")


@pytest.mark.finding("S8")
def test_killed_at_every_step_it_changes_over_without_a_failed_login(
    standing: Standing, disabled: str
) -> None:
    """Requested by an annotation alone.

    A dead host delays the rotation and is named, then it comes back. One that is disabled in Nova
    takes part as any other.
    """
    keyring, bed, operator = standing.keyring, standing.bed, standing.operator
    first, hosts = keyring.ready()["fingerprint"], Hosts(bed)
    old, alive = hosts.uses("cmp1"), [name for name in bed.hosts if name != DEAD]
    bed[DEAD].stop()

    with logins_without_pause(bed) as logs, process_lists() as seen:
        keyring.annotate(rotateKey="1")
        killed_when(
            operator, "a new key is made", lambda: operator.text().count("KeyGenerated:") == 2
        )
        killed_when(
            operator,
            "a first host lets it in",
            lambda: any(hosts.accepts(name) == 2 for name in alive),
        )
        until("all others to let it in", lambda: all(hosts.accepts(name) == 2 for name in alive))
        status = keyring.until(
            "the one it waits for", lambda s: s.get("rotation", {}).get("waitsFor") == [DEAD]
        )
        assert status["rotation"]["step"] == "Accept"
        assert {hosts.uses(name) for name in alive} == {old}

        bed.start(DEAD)
        keyring.annotate(requestedAt="back")
        killed_when(
            operator,
            "every host lets it in",
            lambda: all(hosts.accepts(name) == 2 for name in bed.hosts),
        )
        killed_when(
            operator,
            "a first host uses it",
            lambda: any(hosts.uses(name) not in (old, "") for name in bed.hosts),
        )
        killed_when(
            operator,
            "every host uses it",
            lambda: all(hosts.uses(name) not in (old, "") for name in bed.hosts),
        )
        assert {hosts.accepts(name) for name in bed.hosts} == {2}, (
            "the old one is let in for a while"
        )
        killed_when(
            operator,
            "it is shut out by a first one",
            lambda: any(hosts.accepts(name) == 1 for name in bed.hosts),
        )
        status = keyring.until(
            "the end", lambda s: condition(s, "Ready")["status"] == "True" and "rotation" not in s
        )
        no_login_failed(logs)

    assert status["fingerprint"] != first
    assert disabled in status["provenHosts"]
    assert (
        {hosts.accepts(name) for name in bed.hosts}
        == {hosts.private_keys(name) for name in bed.hosts}
        == {1}
    )
    assert hosts.temporary_files() == []
    for name in bed.hosts:
        assert reached(bed, name) == [other for other in bed.hosts if other != name]
    no_secret_is_shown(standing, seen)


def killed_when(operator: Operator, what: str, happened: Callable[[], bool]) -> None:
    """kill -9 at that moment, and a new start."""
    until(what, happened, pause=0.002)
    operator.kill()
    operator.start()


def no_secret_is_shown(standing: Standing, seen: set[bytes]) -> None:
    keyring, bed = standing.keyring, standing.bed
    held = {
        name: base64.b64decode(value).decode()
        for name, value in keyring.secret(f"{NAME}-migration-key").items()
    }
    assert "OPENSSH PRIVATE KEY" in held["ssh-privatekey"]
    assert (keyring.kube.get(f"secret/{NAME}-migration-key", keyring.namespace) or {})[
        "type"
    ] == "kubernetes.io/ssh-auth"
    shown = [
        standing.operator.text(),
        str(keyring.get()),
        str(keyring.events()),
        b"\n".join(seen).decode(errors="replace"),
    ]
    shown += [host.run("cat /run/sshd.log; ls -R /tmp /run") for host in bed.hosts.values()]
    for line in [*held["ssh-privatekey"].splitlines()[1:-1], *bed.login_key.splitlines()[1:-1]]:
        assert not any(line in text for text in shown)
    for host in bed.hosts.values():
        assert host.run("grep -rl 'PRIVATE KEY' /tmp /run /var/tmp || :").strip() == ""


def test_a_key_of_ones_own_is_used_and_replaced_without_a_gap(standing: Standing) -> None:
    keyring, bed = standing.keyring, standing.bed
    made, hosts = keyring.ready()["fingerprint"], Hosts(bed)
    keyring.annotate(rotateKey=None)  # of a key of one's own the operator makes no other
    own_key(keyring, bed, "one")

    with logins_without_pause(bed) as logs:
        used = hosts.in_use
        keyring.apply(checkEvery=RARELY, key={"secretName": "own"})
        first = changed_over(keyring, hosts, used, made)
        used = hosts.in_use
        own_key(keyring, bed, "two")
        keyring.annotate(requestedAt="2")
        changed_over(keyring, hosts, used, first)
        no_login_failed(logs)

    assert nova_login(bed, "cmp3", "cmp1") == "cmp1"
    keyring.annotate(rotateKey="2")
    status = keyring.until(
        "a refusal", lambda s: condition(s, "Stalled").get("reason") == "KeyNotManaged"
    )
    assert "own" in condition(status, "Stalled")["message"]


def changed_over(keyring: Keyring, hosts: Hosts, used: set[str], before: str) -> str:
    """Waits until every host uses a key that is neither of `used` nor `before`; its fingerprint."""
    status = keyring.until("another key", lambda s: s.get("fingerprint") not in (None, before))
    until("every host to use it", lambda: not used & hosts.in_use)
    return str(status["fingerprint"])


def own_key(keyring: Keyring, bed: Bed, name: str) -> None:
    path = bed.run / name
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "rsa", "-b", "3072", "-m", "PEM", "-N", "", "-f", str(path)],
        check=True,
    )
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/ssh-auth",
        "metadata": {"name": "own", "labels": {"quiesce.dev/migration-key": "true"}},
        "stringData": {"ssh-privatekey": path.read_text()},
    }
    keyring.kube.apply(secret, namespace=keyring.namespace)
