"""Secrets show up nowhere; unknown hosts are not trusted unless the spec says so, and then only once."""

import base64
import subprocess
import threading

import pytest
from tests.beds.hosts.hosts import Bed
from tests.e2e.keyring.conftest import NAME, Keyring
from tests.harness.kubernetes import Kube, Operator


def test_no_private_key_in_log_status_events_or_process_lists(keyring: Keyring, bed: Bed, operator: Operator) -> None:
    seen: list[str] = []
    stop = threading.Event()

    def watch_processes() -> None:
        while not stop.is_set():
            seen.append(subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True).stdout)

    watcher = threading.Thread(target=watch_processes)
    watcher.start()
    keyring.apply().ready()
    keyring.annotate(rotateKey="1", requestedAt="1")
    keyring.until("a rotation", lambda s: "rotation" in s)
    stop.set()
    watcher.join()

    pair = {name: base64.b64decode(value).decode() for name, value in keyring.secret(f"{NAME}-migration-key").items()}
    assert "OPENSSH PRIVATE KEY" in pair["ssh-privatekey"]
    assert (keyring.kube.get(f"secret/{NAME}-migration-key", keyring.namespace) or {})["type"] == "kubernetes.io/ssh-auth"
    private = [*pair["ssh-privatekey"].splitlines()[1:-1], *bed.login_key.splitlines()[1:-1]]
    shown = [operator.text(), str(keyring.get()), str(keyring.events()), *seen]
    shown += [host.run("cat /run/sshd.log; ls -R /tmp /run") for host in bed.hosts.values()]
    for line in private:
        assert not any(line in text for text in shown)
    for host in bed.hosts.values():
        assert host.run("grep -rl 'PRIVATE KEY' /tmp /run /var/tmp || :").strip() == ""


def test_an_unknown_host_key_is_refused_and_shown(keyring: Keyring, bed: Bed, operator: Operator) -> None:
    lines = [line for line in bed.known_hosts.splitlines() if "cmp2" not in line]
    known = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "hosts"}}
    keyring.kube.apply(known | {"data": {"known_hosts": "\n".join(lines)}}, namespace=keyring.namespace)

    keyring.apply()

    assert "SHA256:" in keyring.trouble("cmp2", "HostKeyUnknown")
    assert bed["cmp2"].sessions() == 0


def test_trust_on_first_use_pins_once_and_never_again(keyring: Keyring, bed: Bed, operator: Operator) -> None:
    keyring.apply(hostAccess={"knownHostsRef": None, "trustOnFirstUse": True}).ready()
    pinned = keyring.secret(f"{NAME}-keyring-state")["known_hosts"]
    for host in bed.hosts.values():
        assert host.address in base64.b64decode(pinned).decode()

    bed["cmp2"].renew_host_keys()
    sessions = bed["cmp2"].sessions()
    keyring.annotate(requestedAt="1")

    keyring.trouble("cmp2", "HostKeyMismatch")
    assert keyring.secret(f"{NAME}-keyring-state")["known_hosts"] == pinned
    assert bed["cmp2"].sessions() == sessions


ATTACKS = {
    "user": {"nova": {"user": "nova; rm -rf /"}},
    "root": {"nova": {"user": "root"}},
    "option": {"nova": {"user": "-oProxyCommand=x"}},
    "home": {"nova": {"home": "/var/lib/../../etc"}},
    "system": {"nova": {"home": "/etc"}},
    "quote": {"nova": {"home": "/var/lib/nova'"}},
    "shell": {"nova": {"shell": "/bin/sh -c x"}},
    "passwd": {"knownHostsFile": "/etc/passwd"},
    "climb": {"knownHostsFile": "/etc/ssh/../known_hosts"},
    "address": {"hosts": {"addresses": {"cmp1": "-oProxyCommand=x"}}},
    "pattern": {"hosts": {"addresses": {"cmp1": "*"}}},
    "network": {"authorizedKeysFrom": ['10.0.0.0/8",command="x']},
    "negation": {"authorizedKeysFrom": ["!10.0.0.1"]},
    "unpinned": {"hostAccess": {"knownHostsRef": None}},
    "login": {"hostAccess": {"user": "root -p"}},
    "forever": {"checkEvery": "soon"},
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_crd_refuses(keyring: Keyring, attack: str) -> None:
    with pytest.raises(AssertionError, match=r"Invalid value|is invalid|invalid:"):
        keyring.apply(**ATTACKS[attack])


def test_what_is_installed_under_a_place_cannot_move(keyring: Keyring, kube: Kube) -> None:
    keyring.apply()
    for change in ({"nova": {"home": "/home/nova"}}, {"nova": {"user": "novb"}}, {"knownHostsFile": "/etc/ssh/known_hosts"}):
        with pytest.raises(AssertionError, match="immutable"):
            keyring.apply(**change)
    with pytest.raises(AssertionError, match=r"metadata\.name"):
        kube.apply(
            {
                "apiVersion": "quiesce.dev/v1alpha1",
                "kind": "MigrationKeyring",
                "metadata": {"name": "a.b"},
                "spec": {"hostAccess": {"privateKeySecretRef": {"name": "x"}, "trustOnFirstUse": True}},
            },
            namespace=keyring.namespace,
        )
