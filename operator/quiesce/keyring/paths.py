"""PURE. What a drain reads of a keyring's status: may cold migrations from its host begin?"""

from collections.abc import Iterable, Mapping
from typing import Any

from quiesce.api.keyring.spec import KeyringSpec
from quiesce.api.keyring.status import KeyringRecord
from quiesce.compute.hosts import Hypervisor, compute_hosts


def proven(status: Mapping[str, Any], host: str) -> tuple[bool, str]:
    """Whether cold migrations from `host` may begin, and for people why or why not.

    `status`: of a MigrationKeyring, as JSON. True: the account has copied a file from this host to
    every other host that Nova could choose and that the keyring checks, and from those to this one,
    with the key in use, and nothing has failed there since.
    """
    record = KeyringRecord.read(status)
    if host in (record.status.proven_hosts or ()):
        summary = record.status.paths.summary if record.status.paths else "?"
        return True, f"paths from and to {host} are proven ({summary} of the keyring's paths)"
    if row := record.problem_of(host):
        cause = f"{row.reason}: {row.message}"
    else:
        cause = record.status.message or "the keyring was not reconciled yet"
    return False, f"paths from and to {host} are not proven: {cause}"


def unchecked(address: str, spec: KeyringSpec, hypervisors: Iterable[Hypervisor]) -> str | None:
    """Why a proven path did not help: Nova copied to an `address` that the keyring does not check.

    None: it is checked. The keyring goes by host_ip; Nova by [libvirt]migration_inbound_addr
    (nova/virt/libvirt/driver.py get_host_ip_addr).
    """
    hosts = compute_hosts(
        hypervisors, spec.hosts.addresses, spec.hosts.exclude, spec.hosts.migration_addresses
    )
    if any(host.peer_address == address for host in hosts):
        return None
    owner = next((host for host in hosts if address in host.names), None)
    if owner is None:
        return (
            f"Nova copied to {address}, which the keyring does not check: set its "
            "hosts.migrationAddresses to [libvirt]migration_inbound_addr of each host"
        )
    return (
        f"Nova copied to {address}, and the keyring checks {owner.peer_address} of {owner.name}: "
        f"set its hosts.migrationAddresses for {owner.name} to {address}"
    )
