"""PURE. Names and addresses that several hosts claim -> a problem of each host that lacks them."""

from collections.abc import Iterable, Mapping

from quiesce.api.outside import cleaned
from quiesce.compute.hosts import ComputeHost, Conflict
from quiesce.keyring.model.visit import HostFailure

_REMEDIES = (
    "Find out why Nova shows it for both: openstack hypervisor list --long",
    "Set spec.hosts.addresses for the host that it belongs to: then it counts for that one",
    "Exclude the host that it does not belong to (spec.hosts.exclude)",
)
_NAMED = 2


def conflicts(hosts: Iterable[ComputeHost]) -> Mapping[str, HostFailure]:
    """By host: the first name or address of it that does not count."""
    return {
        host.name: HostFailure(
            "NameConflict",
            f"{cleaned(host.conflicts[0].name, 60)} is {_others(host.conflicts[0])} too in Nova's "
            f"list: it does not count for {host.name}",
            needs_person=True,
            remedies=_REMEDIES,
        )
        for host in hosts
        if host.conflicts
    }


def _others(found: Conflict) -> str:
    named = found.others[:_NAMED]
    more = f" and {found.total - len(named)} more" if found.total > len(named) else ""
    return ", ".join(named) + more
