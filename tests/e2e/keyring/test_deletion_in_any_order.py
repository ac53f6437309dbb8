"""However a tool deletes a keyring and its Secrets: no key stays on a host without a message."""

import pytest
from tests.beds.hosts.hosts import Bed
from tests.e2e.keyring.conftest import Keyring
from tests.harness.kubernetes import Kube, Operator
from tests.harness.openstack import until

KEY_SECRETS = ("cold-migration-key", "cold-keyring-state")


def installed(bed: Bed) -> list[str]:
    """Hosts on which something of the keyring is."""
    command = "grep -rl 'quiesce:' /var/lib/nova/.ssh /etc/ssh/ssh_known_hosts || :"
    return [name for name, host in bed.hosts.items() if host.run(command).strip()]


def gone(kube: Kube, keyring: Keyring) -> bool:
    return not any(kube.get(f"secret/{name}", keyring.namespace) for name in KEY_SECRETS)


@pytest.mark.finding("H5")
def test_foreground_deletion_as_by_argo_cd_removes_the_keys_then_the_secrets(
    kube: Kube, keyring: Keyring, bed: Bed, operator: Operator
) -> None:
    keyring.apply().ready()
    assert installed(bed) == list(bed.hosts)
    kube.kubectl(
        "delete", "mkr/cold", "-n", keyring.namespace, "--cascade=foreground", "--timeout=120s"
    )
    assert installed(bed) == []
    until("the end of both Secrets", lambda: gone(kube, keyring))
    assert operator.healthy()


@pytest.mark.finding("H5")
def test_a_namespace_that_goes_with_everything_in_it_says_where_keys_are_left(
    kube: Kube, keyring: Keyring, bed: Bed, operator: Operator
) -> None:
    keyring.apply().ready()
    kube.kubectl("delete", "namespace", keyring.namespace, "--wait=false")
    # It takes no event, and its bindings, with the operator's rights, go before the keyring does.
    until("what is left", lambda: "keys stay on 5 hosts" in operator.text(), timeout=60)
    [told] = [line for line in operator.text().splitlines() if "keys stay on" in line]
    assert "cmp1, cmp2, cmp3 and 2 more" in told
    free = ("--type=merge", "-p", '{"metadata": {"finalizers": null}}')
    kube.kubectl("patch", "mkr/cold", "-n", keyring.namespace, *free)
    until("the end of the keyring", lambda: keyring.get() is None)
    assert installed(bed) == list(bed.hosts)
    assert operator.healthy()


@pytest.mark.finding("H1")
def test_the_login_key_reaches_no_host_under_any_name(
    kube: Kube, keyring: Keyring, bed: Bed, operator: Operator
) -> None:
    copy = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/ssh-auth",
        "metadata": {"name": "copy"},
        "stringData": {"ssh-privatekey": bed.login_key},
    }
    kube.apply(copy, namespace=keyring.namespace)
    keyring.apply(key={"secretName": "copy"})
    refused = keyring.until(
        "a refusal", lambda s: "quiesce.dev/migration-key" in s.get("message", "")
    )
    assert "kubectl label secret" in refused["message"]
    command = refused["message"][refused["message"].index("label secret") :].split()
    kube.kubectl(*command)
    keyring.annotate(requestedAt="labeled")
    keyring.until("the next refusal", lambda s: "own login key" in s.get("message", ""))
    assert installed(bed) == []
    assert all(host.sessions() == 0 for host in bed.hosts.values())
    assert operator.healthy()
