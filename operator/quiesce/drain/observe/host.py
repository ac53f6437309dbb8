"""Nova's, Placement's and Neutron's answers -> one Observation. Complete, or an error that says
what could not be read.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from quiesce.api.drain.spec import AfterDrain, Mode, WhileRunning
from quiesce.api.errors import CloudUnreachable, HostNotSupported
from quiesce.api.text import count, some
from quiesce.compute.host import HostCompute
from quiesce.drain.model.backoff import back_off
from quiesce.drain.model.drain import Drain
from quiesce.drain.model.history import History
from quiesce.drain.model.migrations import own_of_host
from quiesce.drain.model.observation import Observation, PlanReads, ProofReads, Unread
from quiesce.drain.model.shapes import shape_of
from quiesce.drain.observe.guests import read_guests
from quiesce.drain.observe.lists import read_all_migrations
from quiesce.drain.observe.moves import (
    is_healthy,
    read_causes,
    read_elsewhere,
    read_ended,
    read_progress,
)
from quiesce.drain.observe.tcp import unreachable
from quiesce.drain.observe.volumes import read_volumes
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.errors import NotInCatalog
from quiesce.openstack.records import FAILED, RUNNING, Holdings, Hypervisor, Port, Server, Service
from quiesce.openstack.side_by_side import side_by_side, together
from quiesce.ssh.errors import SSHError

_IdlePorts = Mapping[str, tuple[str, ...]] | NotInCatalog | CloudUnreachable | None
"""By server its ports that do not work; why they could not be read; None: they were not."""

# How old the host's list of servers may be in a poll.
LIST_AGE = timedelta(seconds=10)
_BY_HAND = "Delete this drain, and empty the host by hand"
_MOST_MEMBERS = 50  # members of server groups that a plan looks up: it is a plausibility
_MOST_EVACUATED = 100  # evacuated servers that one tick looks up: each once in a process


def observe(
    cloud: Cloud,
    drain: Drain,
    history: History,
    now: datetime,
    set_by: timedelta,
    *,
    planning: bool = False,
    compute: HostCompute | None = None,
) -> Observation:
    """All that concerns the host; with `planning` also what placement offers the servers elsewhere.

    `set_by`: as of an Observation. `compute`: for `whileRunning: Stop`. Raises CloudUnreachable,
    BadCredentials, NotAllowed; an incomplete observation is never returned.
    """
    services, servers = _read_services(cloud, drain, planning=planning)
    service = _service_of(drain.host, services)
    observation = Observation(
        now,
        drain.host,
        cloud.user_id,
        service,
        services,
        node=drain.record.node,
        set_by=set_by,
        history=_note_report(history, service, now),
    )
    if service is None and not drain.begun:
        return observation
    if not (drain.begun or planning or drain.deleting or _only_watches(drain)):
        return _before_the_first_write(cloud, drain, observation)
    observation = _read_whole(cloud, drain, observation, servers, first=planning)
    if planning:
        observation = _read_capacity(cloud, observation)
    registered_again = service is not None and service.id != drain.record.found_id
    if not drain.begun or (drain.deleting and registered_again):
        aggregates = cloud.aggregates(age=0.0 if drain.deleting else None)
        observation = replace(observation, aggregates=aggregates)
    if not drain.begun:
        return _with_hypervisor(cloud, observation)
    if not drain.deleting and observation.looks_empty:
        observation = _read_proof(cloud, drain, observation)
        if compute is not None and _wants_unit(drain, observation):
            observation = _read_unit(compute, observation)
    return read_guests(cloud, drain, observation)


def poll(
    cloud: Cloud, drain: Drain, history: History, now: datetime, set_by: timedelta
) -> Observation | None:
    """The moves alone, with the host's servers as listed up to LIST_AGE ago; None: there is no such
    list.

    Enough to confirm what has moved, once its guests were read, and to start the move of a server
    that is read besides, never to call the host empty: see `decide.suffices`, `read_guests`,
    `read_chosen` and `complete`.
    """
    listed = history.listed
    if not drain.begun or not history.servers or listed is None or now - listed >= LIST_AGE:
        return None
    services = cloud.services()
    service = _service_of(drain.host, services)
    observation = Observation(
        now,
        drain.host,
        cloud.user_id,
        service,
        services,
        node=drain.record.node,
        servers=history.servers,
        whole=False,
        set_by=set_by,
        history=_note_report(history, service, now),
    )
    observation = read_ended(cloud, drain, read_all_migrations(cloud, drain, observation))
    return _read_closer(cloud, drain, observation)


def read_chosen(
    cloud: Cloud, drain: Drain, polled: Observation, chosen: Collection[str]
) -> Observation | None:
    """A poll with these servers of the host read now; None: one of them is not where the list has
    it, or cannot be read.

    Its records, read before, tell as much of them as later ones: of these servers the drain has
    begun no move yet, so none can have failed in between.
    """
    try:
        found = side_by_side(partial(cloud.server, server_id) for server_id in chosen)
    except CloudUnreachable:
        return None
    here = tuple(s for s in found if s is not None and not s.partial and s.host == drain.host)
    if len(here) < len(chosen):
        return None
    here, _ = read_volumes(cloud, here)
    rows = {server.id: server for server in here}
    servers = tuple(rows.get(server.id, server) for server in polled.servers)
    history = polled.history.list_servers(servers, None)
    read = replace(polled, servers=servers, read=frozenset(rows), history=history)
    read = _read_closer(cloud, drain, read, _read_idle_ports(cloud, drain, read))
    return read_guests(cloud, drain, read)


def complete(cloud: Cloud, drain: Drain, polled: Observation) -> Observation:
    """A poll with the host's servers and migrations read now, in this order: a server whose move
    has failed in the meantime is idle again, and looks untouched in records read before it.
    """
    # Its ports are of those that had arrived then; others may have since.
    polled = replace(polled, whole=True, unchanged=False, ports=())
    return read_guests(cloud, drain, _read_whole(cloud, drain, polled))


def _read_services(
    cloud: Cloud, drain: Drain, *, planning: bool
) -> tuple[tuple[Service, ...], tuple[Server, ...] | None]:
    """And beside them the host's servers in the first tick after the service was disabled, whose
    first move waits for both; None: they come later.
    """
    if planning and drain.begun and not drain.deleting and cloud.known_services() is None:
        return together(cloud.services, lambda: cloud.servers_on(drain.host))
    # Before the first write they were just read.
    return cloud.services(age=0.0 if drain.deleting else None), None


def _read_whole(
    cloud: Cloud,
    drain: Drain,
    observation: Observation,
    servers: tuple[Server, ...] | None = None,
    *,
    first: bool = False,
) -> Observation:
    """Ports and server groups need not be of the same moment as the migrations, which come after
    the servers. `servers`: of the host, read in this tick; None: they are read now. `first`: the
    first move waits for it; later ones gain nothing by it, and each thread takes its time.
    """
    before = _list_servers(cloud, observation, servers)

    def migrations() -> Observation:
        return read_ended(cloud, drain, read_all_migrations(cloud, drain, before))

    def idle_ports() -> _IdlePorts:
        return _read_idle_ports(cloud, drain, before)

    if first and before.servers:
        observation, idle, _ = together(migrations, idle_ports, cloud.groups)  # which it keeps
    else:
        observation, idle = migrations(), idle_ports()
    here = {server.id for server in observation.servers}
    away = {id_: server for id_, server in observation.elsewhere.items() if id_ not in here}
    observation = replace(observation, elsewhere=away)
    return _read_closer(cloud, drain, observation, idle)


def _service_of(host: str, services: tuple[Service, ...]) -> Service | None:
    return next((s for s in services if s.host == host), None)


def _note_report(history: History, service: Service | None, now: datetime) -> History:
    return history.note_report(service.reported, now) if service else history


def _only_watches(drain: Drain) -> bool:
    return drain.spec.suspend or drain.spec.mode is Mode.PLAN


def _list_servers(
    cloud: Cloud, observation: Observation, servers: tuple[Server, ...] | None
) -> Observation:
    if servers is None:
        servers = cloud.servers_on(observation.host)
    servers, unread = read_volumes(cloud, servers)
    history = observation.history.list_servers(servers, observation.now)
    return replace(observation, servers=servers, unread=unread, history=history)


def _before_the_first_write(cloud: Cloud, drain: Drain, observation: Observation) -> Observation:
    """What is saved before the service is disabled, and no more: a host with many servers is
    disabled as soon as any other.
    """
    observation, aggregates, _ = together(
        lambda: read_all_migrations(cloud, drain, observation), cloud.aggregates, cloud.hypervisors
    )
    observation = replace(observation, aggregates=aggregates, whole=False)
    return _with_hypervisor(cloud, observation)


def _with_hypervisor(cloud: Cloud, observation: Observation) -> Observation:
    """What names the host in placement, and where it is reached: Nova forgets both with the
    service.

    Raises HostNotSupported where there are several: a proof is about one.
    """
    named = sum(s.host == observation.host for s in observation.services)
    if named > 1:
        raise HostNotSupported(
            f"Nova lists {named} nova-compute services of the name {observation.host}, as where "
            f"two cells have one each: which of them is meant is not known. {_BY_HAND}"
        )
    # Another drain may have listed them before this host was registered.
    found = _hypervisor_of(observation.host, cloud.hypervisors()) or _hypervisor_of(
        observation.host, cloud.hypervisors(age=0.0)
    )
    if found is None:
        return replace(observation, node=None, address=None)
    return replace(observation, node=found.hypervisor_hostname, address=found.host_ip or None)


def _hypervisor_of(host: str, listed: tuple[Hypervisor, ...]) -> Hypervisor | None:
    """None: Nova lists none, as of a host that is not mapped to its cell yet (nova-manage cell_v2
    discover_hosts; api/openstack/compute/hypervisors.py leaves it out), or that never had one.
    """
    mine = [h for h in listed if h.host == host]
    if len(mine) > 1:
        names = some(h.hypervisor_hostname for h in mine)
        raise HostNotSupported(
            f"nova-compute on {host} has {len(mine)} hypervisors ({names}); only a "
            f"host with one can be drained. {_BY_HAND}"
        )
    if any(h.type.lower() == "ironic" for h in mine):
        raise HostNotSupported(
            f"nova-compute on {host} manages bare metal (Ironic), which Nova cannot "
            "migrate. Delete this drain"
        )
    return mine[0] if mine else None


def _read_closer(
    cloud: Cloud, drain: Drain, observation: Observation, idle_ports: _IdlePorts = None
) -> Observation:
    """What only some servers need: where those are that left, server groups, causes of failures,
    checks, live progress. Not their guests, which are read last.

    `idle_ports`: of servers that may begin to move, where they were read.
    """
    now, migrations = observation.now, observation.migrations
    history = observation.history.observe(observation.servers, migrations, now)
    observation = read_elsewhere(cloud, drain, replace(observation, history=history))
    observation = _look_into_errors(cloud, observation)
    history = observation.history.observe_elsewhere(
        observation.servers, observation.elsewhere, migrations, now
    )
    away = [s for s in observation.elsewhere.values() if s is not None and not s.partial]
    left = {s.id for s in away if s.host != observation.host}
    servers = tuple(server for server in observation.servers if server.id not in left)
    observation = replace(observation, servers=servers, history=history.list_servers(servers, None))
    if servers:
        observation = replace(observation, groups=cloud.groups())
    observation = read_causes(cloud, drain, observation)
    observation = _read_checks(cloud, drain, observation, idle_ports)
    return read_progress(cloud, drain, observation)


def _look_into_errors(cloud: Cloud, observation: Observation) -> Observation:
    """Whether a server that failed elsewhere can be started by its owner only."""
    failed = [s for s in observation.elsewhere.values() if s is not None and s.status == "ERROR"]
    if not failed:
        return observation
    found, _ = read_volumes(cloud, tuple(failed))
    elsewhere = {**observation.elsewhere, **{server.id: server for server in found}}
    return replace(observation, elsewhere=elsewhere)


def _read_checks(
    cloud: Cloud, drain: Drain, observation: Observation, idle_ports: _IdlePorts = None
) -> Observation:
    """Ports and TCP connects of servers that wait for a confirm; ports of those that may begin to
    move, and of those whose live try failed, which may have cost them a binding.
    """
    checks = drain.spec.confirmation.checks
    failed = {m.server_id for m in own_of_host(drain, observation) if m.live and m.status in FAILED}
    tried = [s for s in observation.servers if s.idle and s.id in failed]
    verify = [
        s
        for s in observation.elsewhere.values()
        if s is not None and s.status == "VERIFY_RESIZE" and s.task_state is None
    ]
    wanted = [*(verify if checks.ports else ()), *tried]
    if drain.begun:
        observation = _read_ports(cloud, observation, wanted, idle_ports)
    if verify and checks.tcp_port:
        refused = unreachable(verify, checks.tcp_port)
        observation = replace(observation, unreachable=refused)
    return observation


def _read_idle_ports(cloud: Cloud, drain: Drain, observation: Observation) -> _IdlePorts:
    """Of servers that may begin to move."""
    checked = drain.spec.confirmation.checks.ports
    if not checked or not drain.begun or drain.deleting or _only_watches(drain):
        return None
    if not any(s.idle and s.power_state == RUNNING for s in observation.servers):
        return None
    found: dict[str, tuple[str, ...]] = {}
    try:
        for port in cloud.ports_not_working_on(observation.host):
            found[port.server_id] = (*found.get(port.server_id, ()), port.id)
    except (NotInCatalog, CloudUnreachable) as error:
        return error
    return found


def _read_ports(
    cloud: Cloud, observation: Observation, wanted: list[Server], idle_ports: _IdlePorts
) -> Observation:
    """Where Neutron gives no answer, only these servers wait for it."""
    try:
        if wanted and not observation.ports:
            observation = replace(observation, ports=cloud.ports(server.id for server in wanted))
        if isinstance(idle_ports, Exception):
            raise idle_ports
        if idle_ports is not None:
            observation = replace(observation, idle_ports=idle_ports)
    except NotInCatalog:
        return replace(observation, ports=None)
    except CloudUnreachable as error:
        return replace(observation, ports_error=str(error))
    return replace(observation, ports_error=_hidden_ports(wanted, observation.ports or ()))


def _hidden_ports(asked: list[Server], found: tuple[Port, ...]) -> str:
    """Neutron leaves out the ports of other projects, without an error, for a user who may not see
    them: then it shows none of any server, although they have addresses.
    """
    expected = {server.id: server.name for server in asked if server.addresses}
    if not expected or any(port.server_id in expected for port in found):
        return ""
    return (
        f"Neutron shows no port of {some(expected.values())}, which has addresses in Nova: if they "
        "were not deleted, allow the operator's user the ports of all projects in Neutron's policy "
        "(get_port, context_with_global_access)"
    )


def _read_capacity(cloud: Cloud, observation: Observation) -> Observation:
    """What the plan needs. Of server groups only those with a member here, and of their members
    only those elsewhere.
    """
    here = {server.id for server in observation.servers}
    others = {member for g in observation.groups if g.members & here for member in g.members - here}
    found = {member: cloud.server(member) for member in sorted(others)[:_MOST_MEMBERS]}
    members = {member: server.host for member, server in found.items() if server and server.host}
    unread = (*observation.unread, *_unseen(observation, found))
    try:
        capacity = cloud.rooms({shape_of(server) for server in observation.servers})
    except NotInCatalog:
        capacity = None
    history = observation.history.note_plan(observation.now)
    plan = PlanReads(capacity, members)
    return replace(observation, plan=plan, unread=unread, history=history)


def _unseen(observation: Observation, members: Mapping[str, Server | None]) -> tuple[Unread, ...]:
    """What a cell that is down hides from a plan."""
    found: list[Unread] = []
    if observation.service is not None and observation.service.status == "UNKNOWN":
        text = "the cell of this host is down: Nova lists none of its servers"
        found.append(("CellDown", 0, text))
    hidden = sorted(member for member, server in members.items() if server and server.partial)
    if hidden:
        text = (
            f"{count(len(hidden), 'member')} of server groups ({some(hidden)}) in a cell that is "
            "down: which hosts they occupy is not known"
        )
        found.append(("CellDown", len(hidden), text))
    return tuple(found)


def _read_proof(cloud: Cloud, drain: Drain, observation: Observation) -> Observation:
    """The expensive reads of the proof: the service again, and what placement still holds. All
    migrations were listed in this tick.
    """
    services = cloud.services(age=0.0)
    service = _service_of(observation.host, services)
    history = _note_report(observation.history, service, observation.now)
    observation = replace(observation, services=services, service=service, history=history)
    try:
        observation, holdings = _read_holdings(cloud, observation)
    except NotInCatalog as error:
        return replace(observation, proof=ProofReads(unproven=(str(error),)))
    if holdings is None:
        history = observation.history.note_consumers((), observation.now)
        # A registered nova-compute has one: it is gone.
        named = f"placement has no resource provider named {observation.node}"
        proof = ProofReads(
            frozenset(),
            provider_exists=False,
            unproven=(named,) if service is not None and observation.node else (),
            unnamed=service is not None and not observation.node,
        )
        return replace(observation, proof=proof, history=history)
    return _read_holders(cloud, observation, holdings)


def _read_holdings(cloud: Cloud, observation: Observation) -> tuple[Observation, Holdings | None]:
    """What placement holds on the host, by the name of its hypervisor: as it was found, and where
    there is none of that name, as Nova lists it now.
    """
    node = observation.node
    holdings = cloud.allocations(node or observation.host)
    if holdings is not None or observation.service is None:
        return observation, holdings
    now = _hypervisor_of(observation.host, cloud.hypervisors(age=0.0))
    if now is None or now.hypervisor_hostname == node:
        return replace(observation, node=node if now else None), None
    node = now.hypervisor_hostname
    return replace(observation, node=node), cloud.allocations(node)


def _read_holders(cloud: Cloud, observation: Observation, holdings: Holdings) -> Observation:
    """Which consumers Nova will release by itself: those that were evacuated, while the service is
    there to be deleted.
    """
    consumers = frozenset(holdings.by_consumer)
    moved = {}
    if consumers and observation.service is not None:
        evacuated = cloud.evacuations(observation.host)
        moved = {server_id: evacuated[server_id] for server_id in consumers & evacuated.keys()}
    history, unwell = observation.history, []
    unread = sorted(server_id for server_id, m in moved.items() if m not in history.healthy)
    for server_id in unread[:_MOST_EVACUATED]:
        server = cloud.server(server_id)
        if server is not None and is_healthy(server) and server.host != observation.host:
            history = history.note_healthy(moved[server_id])
        elif server is not None:
            unwell.append(f"{server.name} ({server.status} on {server.host or 'no host'})")
    well = frozenset(server_id for server_id, m in moved.items() if m in history.healthy)
    proof = ProofReads(
        consumers,
        provider_exists=True,
        evacuated=well,
        unwell=tuple(unwell),
        root=holdings.root,
        providers=tuple(sorted({p for those in holdings.by_consumer.values() for p in those})),
    )
    return replace(
        observation,
        proof=proof,
        history=history.note_consumers(proof.held, observation.now),
    )


def _wants_unit(drain: Drain, observation: Observation) -> bool:
    """Before nova-compute is stopped for the first time, how it was found is recorded."""
    spec, failure = drain.spec.service, observation.history.host_failure
    stops = spec.while_running is WhileRunning.STOP and spec.after_drain is AfterDrain.DELETE
    running = observation.service is not None and not observation.compute_is_down
    rested = failure is None or observation.now >= failure.at + back_off(
        failure.count, observation.host
    )
    return stops and running and drain.record.found_unit is None and rested


def _read_unit(compute: HostCompute, observation: Observation) -> Observation:
    history = observation.history
    try:
        unit = compute.observe()
    except SSHError as error:
        text = str(error)
        history = history.fail_on_host(
            error.reason, text, observation.now, person=error.person, remedies=error.remedies
        )
        return replace(observation, history=history)
    return replace(observation, unit=unit.text, history=history.reach_host())
