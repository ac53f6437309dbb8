"""Remedies, each a sentence or a command that can be copied."""

import re

from quiesce.api.drain.status import REMEDY_LENGTH
from quiesce.drain.decide.kinds import is_bound_to_owner
from quiesce.drain.model.drain import Drain
from quiesce.openstack.records import Migration, Server, Service

HARD_REBOOT = "openstack server reboot --hard {id}"
RESET_STATE = "openstack server set --state active {id}"
START_COMPUTE = ("Start nova-compute on this host: systemctl start nova-compute",)
SET_UP = "openstack compute service set --up {host} nova-compute"
NEW_TRIES = (
    "For a new set of tries: kubectl annotate --overwrite computenodedrain {name} -n {namespace} "
    'quiesce.dev/requestedAt="$(date -Is)"'
)

UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def new_tries(drain: Drain) -> str:
    return NEW_TRIES.format(name=drain.identity.name, namespace=drain.identity.namespace)


def for_server(server: Server, *commands: str) -> tuple[str, ...]:
    """The commands with this server's ID, and who has to run them if that matters."""
    return tuple(_as_whom(server, command) + command.format(id=server.id) for command in commands)


def correct_host(server: Server, live: Migration) -> tuple[str, ...]:
    """What a database administrator does for a guest that runs where a live migration took it.

    nova-compute there corrects all else of the row (34.0.0 nova/compute/resource_tracker.py
    _ensure_compute_id_for_instances; the power state by its sync).
    """
    source, there = live.source, live.dest
    correct = f"If it runs on {there}, correct its host in the cell's database: "
    in_words = "set instances.host and instances.node to those of that host"
    statement = (
        f"UPDATE instances SET host='{there}', node='{live.dest_node}' "  # noqa: S608 -- for a person to read, never sent
        f"WHERE uuid='{server.id}' AND host='{source}' AND deleted=0;"
    )
    known = None not in (source, there, live.dest_node) and UUID.fullmatch(server.id)
    whole = len(correct + statement) <= REMEDY_LENGTH  # cut, it could be one for all servers
    return (
        correct + (statement if known and whole else in_words),
        f"Then see whether its network works there, and remove what is left of it on {source}: "
        "on local disks a disk of the past",
    )


def _as_whom(server: Server, command: str) -> str:
    if command != HARD_REBOOT or not is_bound_to_owner(server):
        return ""
    return "As its owner, who alone may read the secret that it needs: "


def of_destination(host: str | None, service: Service | None) -> tuple[str, tuple[str, ...]]:
    """As `of_source`, of a host to which a server has moved."""
    if service is not None and service.state == "up":
        check = f"On {host}, check that libvirtd and nova-compute answer (virsh list)"
        return f"its hypervisor on {host} does not answer", (check,)
    if service is not None and service.forced_down:
        _, remedies = of_source(service)
        return f"the service of {host} is forced down", remedies
    start = f"Start nova-compute on {host}: systemctl start nova-compute"
    return f"nova-compute on {host} is down", (start,)


def of_source(service: Service | None) -> tuple[str, tuple[str, ...]]:
    """Why Nova takes this host's nova-compute for down, and the remedies.

    A service that is forced down may have a nova-compute that runs: to start it changes nothing.
    """
    if service is None or not service.forced_down:
        return "nova-compute of this host is down", START_COMPUTE
    return "the service of this host is forced down", (
        "Find out what forced it down: tools for high availability do so before they evacuate",
        SET_UP.format(host=service.host),
    )
