"""The key is changed while logins go on without a pause: none fails, however often the operator is killed."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.beds.hosts.hosts import Bed
from tests.e2e.keyring.conftest import Keyring, nova_login
from tests.harness.kubernetes import Operator, condition
from tests.harness.openstack import until

PAIRS = (("cmp1", "cmp2"), ("cmp4", "cmp5"), ("cmp5", "cmp1"))


@contextmanager
def logins_without_pause(bed: Bed) -> Iterator[dict[tuple[str, str], Path]]:
    """As nova from host to host, over and over; each end in a file of the source: `ok`, or ssh's words."""
    loops, logs = [], {}
    for source, target in PAIRS:
        log = bed[source].dir / f"root/logins-{target}"
        login = f"ssh -n -o BatchMode=yes {bed[target].address} true"
        script = f'while :; do words=$({login} 2>&1) && echo ok || echo "failed $words"; done'
        inside = ["nsenter", "--target", str(bed[source].tree.first), "--mount", "--uts", "--net", "--pid", "--"]
        with log.open("w") as out:
            loops.append(subprocess.Popen([*inside, "runuser", "-u", "nova", "--", "/bin/sh", "-c", script], stdout=out))
        logs[(source, target)] = log
    try:
        yield logs
    finally:
        for loop in loops:
            loop.terminate()
            loop.wait()


def ends(log: Path) -> list[str]:
    return log.read_text().splitlines()


def keys_on(bed: Bed, name: str) -> tuple[int, int]:
    """How many keys our lines let in, and how many private keys are there."""
    lines = bed[name].run("grep -c quiesce: /var/lib/nova/.ssh/authorized_keys || :").strip()
    files = bed[name].run("ls /var/lib/nova/.ssh | grep -c '[0-9a-f]\\{12\\}$' || :").strip()
    return int(lines), int(files)


def test_no_login_fails_while_the_key_changes(keyring: Keyring, bed: Bed, operator: Operator) -> None:
    first = keyring.apply().ready()["fingerprint"]

    with logins_without_pause(bed) as logs:
        keyring.annotate(rotateKey="1", requestedAt="1")
        keyring.until("a new key", lambda s: s.get("fingerprint") not in (None, first))
        status = keyring.ready(timeout=240)
        counts = {pair: len(ends(log)) for pair, log in logs.items()}
        until("logins after it", lambda: all(len(ends(log)) > counts[pair] + 3 for pair, log in logs.items()))

    for pair, log in logs.items():
        assert set(ends(log)) == {"ok"}, f"{pair}: {[end for end in ends(log) if end != 'ok'][:3]}"
    assert status["fingerprint"] != first
    assert {name: keys_on(bed, name) for name in bed.hosts} == dict.fromkeys(bed.hosts, (1, 1))
    assert "rotation" not in status


def test_killed_again_and_again_it_still_changes_over_without_a_failure(keyring: Keyring, bed: Bed, operator: Operator) -> None:
    first = keyring.apply().ready()["fingerprint"]

    with logins_without_pause(bed) as logs:
        keyring.annotate(rotateKey="1")
        for life, moment in enumerate((0.1, 0.4, 0.8, 1.2, 1.6, 2.0, 2.5, 3.0, 4.0, 5.0), start=1):
            until("its start", lambda life=life: operator.text().count("looks after") >= life, pause=0.05)
            time.sleep(moment)  # the moment of death is what is tried here
            operator.kill()
            operator.start()
        keyring.until("a new key", lambda s: s.get("fingerprint") not in (None, first))
        status = keyring.ready(timeout=240)

    for pair, log in logs.items():
        assert set(ends(log)) == {"ok"}, f"{pair}: {[end for end in ends(log) if end != 'ok'][:3]}"
    assert status["fingerprint"] != first
    assert {name: keys_on(bed, name) for name in bed.hosts} == dict.fromkeys(bed.hosts, (1, 1))
    for name in bed.hosts:
        assert "tmp" not in bed[name].run("ls -a /var/lib/nova/.ssh /etc/ssh")


def test_a_dead_host_holds_the_change_up_and_is_named(keyring: Keyring, bed: Bed, operator: Operator) -> None:
    first = keyring.apply().ready()["fingerprint"]
    bed["cmp3"].stop()

    keyring.annotate(rotateKey="1", requestedAt="1")

    status = keyring.until("the step", lambda s: s.get("rotation", {}).get("waitsFor") == ["cmp3"], timeout=180)
    assert status["rotation"]["step"] in ("Accept", "Use")
    assert nova_login(bed, "cmp1", "cmp2") == "cmp2"

    bed.start("cmp3")

    status = keyring.ready(timeout=300)
    assert status["fingerprint"] != first
    assert nova_login(bed, "cmp3", "cmp1") == "cmp1"
    assert nova_login(bed, "cmp1", "cmp3") == "cmp3"
    assert condition(status, "PathsProven")["status"] == "True"


def test_a_key_of_ones_own_is_used_and_replaced_without_a_gap(keyring: Keyring, bed: Bed, operator: Operator) -> None:
    own_key(keyring, bed, "one")
    first = keyring.apply(key={"secretName": "own"}).ready()["fingerprint"]

    with logins_without_pause(bed) as logs:
        own_key(keyring, bed, "two")
        keyring.annotate(requestedAt="2")
        keyring.until("the second key", lambda s: s.get("fingerprint") != first)
        keyring.ready(timeout=240)

    for pair, log in logs.items():
        assert set(ends(log)) == {"ok"}, pair
    keyring.annotate(rotateKey="1")
    status = keyring.until("a refusal", lambda s: condition(s, "Stalled").get("reason") == "KeyNotManaged")
    assert "own" in condition(status, "Stalled")["message"]


def own_key(keyring: Keyring, bed: Bed, name: str) -> None:
    path = bed.run / name
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "3072", "-m", "PEM", "-N", "", "-f", str(path)], check=True)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/ssh-auth",
        "metadata": {"name": "own"},
        "stringData": {"ssh-privatekey": path.read_text()},
    }
    keyring.kube.apply(secret, namespace=keyring.namespace)
