"""Whether guests run, as their hypervisors say."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from quiesce.api.drain.spec import ConfirmationPolicy, ForeignPolicy
from quiesce.api.errors import CloudUnreachable
from quiesce.drain.model.drain import Drain
from quiesce.drain.model.history import SILENT_FOR_A_WHILE
from quiesce.drain.model.migrations import (
    broke_off,
    confirm_failed,
    may_be_elsewhere,
    own_migrations,
)
from quiesce.drain.model.observation import Observation
from quiesce.drain.observe.lists import check_lists
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.records import RUNNING, Server, moment

# An answer of a hypervisor that takes so many seconds makes those before it old. These are asked
# for again, so often at most.
_LONG = 5.0
_ASKED_AGAIN = 2
_EVER = datetime.min.replace(tzinfo=UTC)


def read_guests(cloud: Cloud, drain: Drain, observation: Observation) -> Observation:
    """Of guests that ran before their try: whether they run, as their hypervisor says, and who
    stopped those that are off.

    Nova's power state is what its database heard last: 15 s late where a guest died (libvirt's
    driver delays its events), longer after a nova-compute that died, and of a guest that died and
    was reverted that it is off, for up to 10 minutes (sync_power_state_interval) while it runs. So
    they are read last, after whatever takes long, and what was read before counts no longer.
    """
    guests = Guests(cloud, observation)
    stopped = _ask_for_tried(cloud, drain, observation, guests)
    _ask_for_misplaced(cloud, drain, observation, guests)
    observation = _ask_for_broken(drain, observation, guests)
    stopped |= _ask_for_arrived(cloud, drain, observation, guests)
    guests.ask_again()
    if guests.took_long:
        observation = _read_moved_again(cloud, drain, observation, guests)
    history = observation.history.note_unheard(guests.unanswered, guests.running, observation.now)
    if history != observation.history:
        observation = replace(observation, history=history)
    known: dict[str, Any] = {
        "running": guests.running,
        "silent": frozenset(guests.silent),
        "stopped_by_user": frozenset(stopped),
        "misplaces": cloud.misplaces,
    }
    if all(getattr(observation, name) == value for name, value in known.items()):
        return observation
    return replace(observation, **known)


def _ask_for_tried(
    cloud: Cloud, drain: Drain, observation: Observation, guests: "Guests"
) -> set[str]:
    """Those that are here after a try. -> which of them a user has stopped since."""
    stopped = set[str]()
    for server in observation.servers:
        tried = drain.record.tries.get(server.id)
        if tried is None or tried.was != "ACTIVE" or not server.idle:
            continue
        own = own_migrations(server.id, drain, observation)
        # By the clock of Nova's actions wherever it is known.
        began = own[0].created if own else moment(tried.began)
        if server.status == "SHUTOFF" and began and cloud.stopped_by_user(server.id, began):
            stopped.add(server.id)
        if server.status == "ACTIVE" and broke_off(drain, observation, server):
            guests.ask(server)
    return stopped


def _ask_for_arrived(
    cloud: Cloud, drain: Drain, observation: Observation, guests: "Guests"
) -> set[str]:
    """Those that wait for a confirm, ours and others'. -> which of others' a user has stopped."""
    stopped = set[str]()
    waiting = [
        each
        for each in (*observation.servers, *observation.elsewhere.values())
        if each is not None and each.status == "VERIFY_RESIZE" and each.task_state is None
    ]
    for moved in sorted(waiting, key=guests.was_silent):
        if not observation.is_up(moved.host):  # Nova waits long for its answer
            continue
        if _is_ours_to_ask_for(drain, observation, moved):
            guests.ask(moved)
        elif _is_theirs(drain, observation, moved):
            if moved.power_state == RUNNING:
                guests.ask(moved)
            elif cloud.stopped_by_user(moved.id, _EVER):
                stopped.add(moved.id)
    return stopped


def _read_moved_again(
    cloud: Cloud, drain: Drain, observation: Observation, guests: "Guests"
) -> Observation:
    """While a hypervisor took long, owners may have confirmed or reverted the moves of others, and
    resized them: nothing that was read before counts for a confirm.
    """
    records = cloud.migrations(drain.host, above=drain.record.found_migration)
    before = (m for m in observation.migrations if m.id <= drain.record.found_migration)
    elsewhere = dict(observation.elsewhere)
    for server_id in elsewhere.keys() & guests.running.keys():
        elsewhere[server_id] = cloud.server(server_id)
    for server in observation.servers:
        if server.status == "VERIFY_RESIZE" and server.id in guests.running:
            now = cloud.server(server.id)
            if now is None or (now.status, now.task_state) != (server.status, None):
                guests.doubt(server)
    read = replace(observation, migrations=(*records, *before), elsewhere=elsewhere)
    return check_lists(cloud, drain, observation.migrations, read)


def _ask_for_misplaced(
    cloud: Cloud,
    drain: Drain,
    observation: Observation,
    guests: "Guests",
) -> None:
    """Whether those run here whose guest may be elsewhere.

    Nova answers in any state of a server (compute/api.py get_instance_diagnostics), and writes down
    a fault for each guest that does not run: not again once its sync of power states, which takes
    in servers in ERROR, shows it as off.
    """
    observation = replace(observation, misplaces=cloud.misplaces, running=guests.running)
    for server in observation.servers:
        shown = server.status in ("ERROR", "ACTIVE") and server.power_state == RUNNING
        if not shown or not may_be_elsewhere(drain, observation, server, doubted=True):
            continue
        if observation.service_is_down:
            return
        if server.id not in guests.running and server.id not in guests.silent:
            guests.ask(server)


def _ask_for_broken(drain: Drain, observation: Observation, guests: "Guests") -> Observation:
    """Whether those run that a cold move of ours left in ERROR: one whose shutdown failed runs on
    here, and one whose confirm failed over there. To reboot it would be a restart without need.

    Nova writes down a fault for each guest that does not run, so that is asked once.
    """
    history = observation.history
    for server in (*observation.servers, *observation.elsewhere.values()):
        if server is None or server.status != "ERROR" or server.power_state != RUNNING:
            continue
        last = next(iter(own_migrations(server.id, drain, observation)), None)
        if last is None or last.live or last.status != "error" or last.id in history.found_off:
            continue
        if server.host != drain.host and not confirm_failed(observation, last):
            continue
        if not observation.is_up(server.host):
            continue
        guests.ask(server)
        if guests.running.get(server.id) is False:
            history = history.note_off(last.id)
    return observation if history is observation.history else replace(observation, history=history)


class Guests:
    """What hypervisors say of guests, one asked after the other.

    `running`: server id -> whether its guest runs; without those that cannot be asked. `silent`:
    servers of which nobody has answered. `unanswered`: those asked, and when. `took_long`: some
    answer did, or was waited for in vain so long: what was read before is old.

    A hypervisor that does not answer is asked for no other guest in this tick: each takes half a
    minute. It may be one guest that hangs, so the next tick begins with the others.
    """

    def __init__(self, cloud: Cloud, observation: Observation) -> None:
        self._cloud, self._now = cloud, observation.now
        self._before = observation.history.unheard
        self._outdated: dict[str, Server] = {}
        self._asked: dict[str, Server] = {}
        self._silent_hosts: set[str | None] = set()
        self.running: dict[str, bool] = {}
        self.silent: set[str] = set()
        self.unanswered: dict[str, datetime] = {}
        self.took_long = False

    def was_silent(self, server: Server) -> bool:
        return server.id in self._before

    def ask(self, server: Server) -> None:
        last = self._before.get(server.id)
        rests = last is not None and self._now - last < SILENT_FOR_A_WHILE
        if rests or server.host in self._silent_hosts:
            self.silent.add(server.id)
            return
        self._ask(server)
        if server.id in self.silent:
            self._silent_hosts.add(server.host)

    def _ask(self, server: Server) -> None:
        began = self._cloud.clock()
        self.running.pop(server.id, None)
        self.silent.discard(server.id)
        try:
            found = self._cloud.is_running(server.id)
        except CloudUnreachable:
            self.silent.add(server.id)
            self.unanswered[server.id] = self._now
        else:
            if found is not None:
                self.running[server.id] = found
                self._asked[server.id] = server
        if self._cloud.clock() - began > _LONG:
            self._outdated |= {id_: self._asked[id_] for id_ in self.running}
            self.took_long = True
        self._outdated.pop(server.id, None)

    def doubt(self, server: Server) -> None:
        """What its hypervisor has answered is of no use any more."""
        self.running.pop(server.id, None)
        self.silent.add(server.id)

    def ask_again(self) -> None:
        """Of those asked before another one took long: a guest may have died meanwhile. Where all
        answers take long, the last ones count.
        """
        for _ in range(_ASKED_AGAIN):
            for server_id in sorted(self._outdated.keys() & self.running.keys()):
                self._ask(self._outdated[server_id])


def _is_theirs(drain: Drain, observation: Observation, server: Server) -> bool:
    """Another user's resize or migration, which the spec says to confirm: nothing but this is left
    to ask.
    """
    if drain.spec.confirmation.foreign is not ForeignPolicy.CONFIRM:
        return False
    newest = next((m for m in observation.migrations if m.server_id == server.id), None)
    own = own_migrations(server.id, drain, observation)
    return newest is not None and newest.status == "finished" and newest not in own


def _is_ours_to_ask_for(drain: Drain, observation: Observation, server: Server) -> bool:
    """In VERIFY_RESIZE by our move, and it may have run before: Nova shows it as off, or nothing
    but this is left to ask before its confirm.
    """
    own = own_migrations(server.id, drain, observation)
    confirmation = drain.spec.confirmation
    checked = confirmation.checks.power and drain.record.may_have_run(server.id)
    if not own or own[0].status != "finished" or not checked:
        return False
    if server.power_state != RUNNING:
        return True
    decided = confirmation.decision_for(server.id)
    if confirmation.policy is ConfirmationPolicy.MANUAL and decided is None:
        return False
    since = observation.history.first_seen.get((own[0].id, "finished"), observation.now)
    return observation.now - since >= timedelta(seconds=confirmation.checks.soak)
