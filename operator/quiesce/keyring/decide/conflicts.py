"""PURE. Names and addresses that several hosts claim -> a problem of each host that lacks them."""

from collections.abc import Iterable, Mapping

from quiesce.api.outside import cleaned
from quiesce.api.text import some
from quiesce.compute.hosts import ComputeHost
from quiesce.keyring.model.visit import HostFailure

_REMEDIES = (
    "Find out why Nova shows it for both: openstack hypervisor list --long",
    "Set spec.hosts.addresses for the host that it belongs to: then it counts for that one",
    "Exclude the host that it does not belong to (spec.hosts.exclude)",
)


def conflicts(hosts: Iterable[ComputeHost]) -> Mapping[str, HostFailure]:
    """By host: the first name or address of it that does not count."""
    return {
        host.name: HostFailure(
            "NameConflict",
            f"{cleaned(host.conflicts[0].name, 60)} is {some(host.conflicts[0].others, 2)} too in "
            f"Nova's list: it does not count for {host.name}",
            needs_person=True,
            remedies=_REMEDIES,
        )
        for host in hosts
        if host.conflicts
    }
