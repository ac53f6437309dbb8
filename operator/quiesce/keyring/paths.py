"""PURE. What a drain reads of a keyring's status: may cold migrations from its host begin?"""

import re
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


def copied_to(text: str) -> str | None:
    """The address that Nova tried to copy to, of the text of a failed cold migration.

    As nova/utils.py ssh_execute words its command: `ssh -o BatchMode=yes ADDRESS mkdir -p …`.
    """
    found = re.search(r"ssh -o BatchMode=yes (\S+) mkdir\b", text)
    return found and found[1]


def unproven_address(text: str, spec: KeyringSpec, hypervisors: Iterable[Hypervisor]) -> str | None:
    """Why a proven path did not help: Nova copied to an address that the keyring does not check.

    `text`: of a failed cold migration. None: it names no address, or one that is checked.
    """
    address = copied_to(text)
    hosts = compute_hosts(
        hypervisors, spec.hosts.addresses, spec.hosts.exclude, spec.hosts.migration_addresses
    )
    checked = {host.peer_address for host in hosts}
    if address is None or address in checked:
        return None
    owner = next((host for host in hosts if address in host.names), None)
    if owner is not None:
        return (
            f"Nova copied to {address} of {owner.name}, and the keyring has checked "
            f"{owner.peer_address}: set hosts.migrationAddresses of the keyring to {address}"
        )
    return (
        f"Nova copied to {address}, which is the address of no host of the keyring: set "
        "hosts.migrationAddresses to [libvirt]migration_inbound_addr of each host"
    )
