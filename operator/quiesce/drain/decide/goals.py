"""PURE: (resource, memory, observation) -> Decision. Imports no kopf, no openstack, no kubernetes, no clock.

First a verdict for everybody, then few actions. The goal of a resource is a value:
what is kept true (`KEPT_DRAINED`), only looked at (`WATCHED`), or given back.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from quiesce.api.drain.record import Record
from quiesce.api.drain.spec import AfterDrain, DrainSpec, Mode, OnDelete, WhileRunning
from quiesce.api.text import count, some
from quiesce.drain.decide import compute_service, departed, failures, plan, proof, rules
from quiesce.drain.decide.compute_service import DrainIdentity
from quiesce.drain.decide.plan import Plan
from quiesce.drain.model.actions import (
    Action,
    ConfirmMove,
    DeleteService,
    HostAction,
    StartCompute,
    StopCompute,
    for_verdict,
    words,
)
from quiesce.drain.model.observation import HostTrouble, Observation, Refusal
from quiesce.drain.model.verdict import Blocked, Confirm, Held, Move, Offload, Resume, Verdict, Wait
from quiesce.openstack.records import FAILED, Migration, Server

STOP_AGAIN = timedelta(minutes=2)
START_TRIES = 4
REGISTERS_WITHIN = timedelta(
    minutes=2
)  # how long a started nova-compute may take to show up in Nova


class Goal(StrEnum):
    KEPT_DRAINED = "KeptDrained"
    WATCHED = "Watched"  # mode: Plan, or suspended: no new move
    GIVEN_BACK = "GivenBack"


@dataclass(frozen=True, slots=True)
class Limits:
    """`room`: moves that the operator-wide brake still allows; None: no brake. `settle`: between the reads of the proof."""

    settle: timedelta = timedelta(seconds=10)
    room: int | None = None


@dataclass(frozen=True, slots=True)
class ServerVerdict:
    """A server and its verdict. `server` None: known by its migration only. `here`: it counts for the host."""

    server_id: str
    name: str
    server: Server | None
    verdict: Verdict
    here: bool
    attempt: int = 1

    @property
    def in_flight(self) -> bool:
        """Counts against maxParallel: from the call until Nova has nothing left to do; held servers do not."""
        match self.verdict:
            case Move() | Held() | Offload() | Resume():
                return False
            case Wait(ours=ours) | Blocked(ours=ours) | Confirm(ours=ours):
                return ours
            case _:
                return True


@dataclass(frozen=True, slots=True)
class Decision:
    """What this tick found and wants done. `actions` in order; `started`: servers whose move begins with one of them.

    `left_undone`: what giving back has to leave to a person, and what to do.
    `refused`: what is wanted for the host itself and Nova says no to, whether it is tried again now or later.
    """

    goal: Goal
    judged: tuple[ServerVerdict, ...]
    actions: tuple[Action, ...]
    proof: proof.Proof
    started: frozenset[str] = frozenset()
    refused: tuple[tuple[HostAction, Refusal], ...] = ()
    given_back: bool = False
    left_undone: str = ""
    leftovers: tuple[str, ...] = ()
    plan: Plan | None = None
    left: int = 0  # servers that left the host by a migration since the drain began


def decide(
    who: DrainIdentity, spec: DrainSpec, memory: Record, seen: Observation, limits: Limits
) -> Decision:
    goal = goal_of(who, spec)
    judged = judge_all(spec, memory, seen) if memory.begun or seen.whole else ()
    evidence = proof.weigh(seen, memory, open_matters(judged), limits.settle)
    decision = Decision(
        goal,
        judged,
        (),
        evidence,
        left=count_left(memory, seen, judged),
        leftovers=leftovers(seen, memory),
    )
    if seen.planning:
        here = [(j.server, j.verdict) for j in judged if j.server is not None and j.here]
        decision = replace(decision, plan=plan.make(spec, seen, here))
    if spec.suspend and goal is not Goal.GIVEN_BACK:
        return decision
    if goal is Goal.GIVEN_BACK:
        return give_back(who, spec, memory, seen, decision)
    if goal is Goal.WATCHED:
        return finish_moves(decision) if memory.begun else decision
    return keep_drained(who, spec, memory, seen, decision, limits)


def suffices(seen: Observation, decision: Decision) -> bool:
    """Whether a glance is enough for what was decided: nothing, or confirms of servers seen elsewhere.

    Not where a record says that the move of a listed server has ended since: its row is out of date.
    """
    if seen.whole:
        return True
    newest = {m.server_id: m for m in reversed(seen.migrations)}
    ended = any(not s.idle and s.id in newest and newest[s.id].terminal for s in seen.servers)
    return not ended and all(
        isinstance(a, ConfirmMove) and a.server_id in seen.elsewhere for a in decision.actions
    )


def goal_of(who: DrainIdentity, spec: DrainSpec) -> Goal:
    if who.deleting:
        return Goal.GIVEN_BACK
    return Goal.WATCHED if spec.mode is Mode.PLAN else Goal.KEPT_DRAINED


def judge_all(spec: DrainSpec, memory: Record, seen: Observation) -> tuple[ServerVerdict, ...]:
    """Every server on the host, and every one elsewhere whose migration still concerns the host."""
    here = {server.id for server in seen.servers}
    path = ssh_path(seen)
    judged = [judge_here(server, spec, memory, seen, path) for server in seen.servers]
    gone = dict.fromkeys(m.server_id for m in seen.migrations if m.server_id not in here)
    away = [
        found
        for server_id in gone
        if (found := judge_elsewhere(server_id, spec, memory, seen)) is not None
    ]
    return tuple(sorted([*judged, *away], key=lambda j: (j.name, j.server_id)))


def ssh_path(seen: Observation) -> rules.BrokenPath | None:
    """The newest word on the host's SSH paths: its last cold migration failed on one, and none has succeeded since.

    Every cold move would fail alike, so one server at a time tries whether it is mended: the
    one that failed last, or, where that one is gone, the first of the host.
    """
    settled = (*FAILED, "confirmed", "finished", "confirming")
    cold = [
        m
        for m in seen.migrations
        if m.source == seen.host and m.type == "migration" and m.status in settled
    ]
    ending = seen.endings.get(cold[0].id) if cold else None
    if ending is None or not failures.is_ssh(ending.text):
        return None
    here = sorted(server.id for server in seen.servers)
    canary = cold[0].server_id if cold[0].server_id in here else next(iter(here), "")
    return rules.BrokenPath(ending.text, canary)


def subject_of(
    server: Server,
    spec: DrainSpec,
    memory: Record,
    seen: Observation,
    path: rules.BrokenPath | None,
) -> rules.PresentServer:
    own = own_migrations(server.id, memory, seen)
    open_ = next((m for m in seen.migrations if m.server_id == server.id and not m.terminal), None)
    return rules.PresentServer(server, spec, memory, seen, own, open_, path)


def judge_here(
    server: Server,
    spec: DrainSpec,
    memory: Record,
    seen: Observation,
    path: rules.BrokenPath | None,
) -> ServerVerdict:
    subject = subject_of(server, spec, memory, seen, path)
    return ServerVerdict(
        server.id, server.name, server, rules.judge(subject), True, 1 + len(subject.failed())
    )


def judge_elsewhere(
    server_id: str, spec: DrainSpec, memory: Record, seen: Observation
) -> ServerVerdict | None:
    """Judged by its newest migration that is not ended, else by its newest one of all."""
    rows = [m for m in seen.migrations if m.server_id == server_id]
    migration = next((m for m in rows if not m.terminal), rows[0])
    own = own_migrations(server_id, memory, seen)
    tries = sum(m.status in FAILED and m.id > memory.attempts_from for m in own)
    leaver = departed.DepartedServer(
        server_id, migration, migration in own, spec, memory, seen, tries
    )
    verdict = departed.judge(leaver)
    if verdict is None:
        return None
    server = seen.elsewhere.get(server_id)
    name = server.name if server else seen.names.get(server_id, server_id)
    return ServerVerdict(server_id, name, server, verdict, migration in own, 1 + tries)


def own_migrations(server_id: str, memory: Record, seen: Observation) -> tuple[Migration, ...]:
    """Ours: cold or live (never a resize), from this host, by our user, since the drain began. Newest first."""
    if not memory.begun:
        return ()
    return tuple(
        m
        for m in seen.migrations
        if m.server_id == server_id
        and m.type in ("migration", "live-migration")
        and m.source == seen.host
        and m.user_id == seen.user_id
        and m.id > memory.found_migration
    )


def count_left(memory: Record, seen: Observation, judged: tuple[ServerVerdict, ...]) -> int:
    """Servers that left the host by a migration that succeeded, and of which nothing is left to do."""
    concerned = {j.server_id for j in judged}
    return len(
        {
            m.server_id
            for m in seen.migrations
            if m.status in ("confirmed", "completed")
            and m.source == seen.host
            and m.id > memory.found_migration
        }
        - concerned
    )


def open_matters(judged: tuple[ServerVerdict, ...]) -> tuple[str, ...]:
    """What servers elsewhere still hold against the host being empty."""
    return tuple(
        f"{j.name}: {j.verdict.message}"
        for j in judged
        if isinstance(j.verdict, Blocked | Wait | Held)
    )


def leftovers(seen: Observation, memory: Record) -> tuple[str, ...]:
    """What a deleted service left in OpenStack, though Nova answered 204."""
    if seen.service is not None or seen.proof is None or not memory.begun:
        return ()
    found = []
    if seen.proof.consumers:
        held = count(len(seen.proof.consumers), "allocation")
        found.append(
            f"placement still holds {held} on the host (consumers {some(seen.proof.consumers)})"
        )
    if seen.proof.provider_exists:
        found.append(
            f"placement still has the resource provider {memory.node or seen.host}: delete it (openstack resource provider "
            "delete) once nova-compute is stopped for good; a running nova-compute makes it again"
        )
    return tuple(found)


def keep_drained(
    who: DrainIdentity,
    spec: DrainSpec,
    memory: Record,
    seen: Observation,
    decision: Decision,
    limits: Limits,
) -> Decision:
    disable = compute_service.disable(who, spec, memory, seen)
    if not memory.begun:
        return decision if lacks_capacity(spec, decision) else for_host(seen, decision, disable)
    if seen.service is not None and seen.service.status != "disabled":
        return for_host(
            seen, decision, disable
        )  # nothing moves while the scheduler may still place servers here
    decision = finish_moves(decision, foreign=True)
    if seen.service is None:
        return decision
    chosen = choose(spec, seen, decision.judged, limits)
    starts = tuple(a for j in chosen for a in for_verdict(j.server_id, j.verdict, spec))
    decision = for_host(seen, decision, disable + end_service(spec, memory, seen, decision))
    return replace(
        decision, actions=decision.actions + starts, started=frozenset(j.server_id for j in chosen)
    )


def for_host(seen: Observation, decision: Decision, wanted: tuple[HostAction, ...]) -> Decision:
    """With these calls, but for those that Nova has refused lately: the same is asked again, ever more slowly."""
    refused = tuple(
        (action, said)
        for action in wanted
        if (said := seen.refusals.get(words(action))) is not None
    )
    resting = {
        action
        for action, said in refused
        if seen.now < said.at + failures.back_off(said.count, seen.host)
    }
    due = tuple(action for action in wanted if action not in resting)
    return replace(decision, actions=due + decision.actions, refused=refused)


def lacks_capacity(spec: DrainSpec, decision: Decision) -> bool:
    """The spec wants room for all servers before anything is begun, and the plan does not say that there is."""
    return spec.migration.require_capacity and (
        decision.plan is None or decision.plan.capacity != "Fits"
    )


def finish_moves(decision: Decision, *, foreign: bool = False) -> Decision:
    """Bring to an end what is in flight: confirms, reverts, aborts. `foreign`: others' too, if the spec says so."""
    ending = tuple(
        a
        for j in decision.judged
        if not isinstance(j.verdict, Move | Offload | Resume)
        and (foreign or not isinstance(j.verdict, Confirm) or j.verdict.ours)
        for a in for_verdict(j.server_id, j.verdict, None)
    )
    return replace(decision, actions=ending)


def choose(
    spec: DrainSpec, seen: Observation, judged: tuple[ServerVerdict, ...], limits: Limits
) -> tuple[ServerVerdict, ...]:
    """The servers whose move begins now: largest first, those that failed before last, one per anti-affinity group."""
    free = spec.migration.max_parallel - sum(j.in_flight for j in judged)
    if limits.room is not None:
        free = min(free, limits.room)
    if free <= 0:
        return ()
    waiting = [j for j in judged if isinstance(j.verdict, Move | Offload | Resume)]
    groups = [g.members for g in seen.groups if g.policy == "anti-affinity"]
    busy = {j.server_id for j in judged if j.in_flight or isinstance(j.verdict, Held)}
    chosen: list[ServerVerdict] = []
    for j in sorted(waiting, key=order):
        mine = [members for members in groups if j.server_id in members]
        if len(chosen) < free and not any(members & busy for members in mine):
            chosen.append(j)
            busy.add(j.server_id)
    return tuple(chosen)


def starved(
    spec: DrainSpec, seen: Observation, judged: tuple[ServerVerdict, ...]
) -> tuple[ServerVerdict, ...]:
    """Servers that wait for moves which only a person can end: these hold all places, or one of their anti-affinity group."""
    ended_by_people = [
        j
        for j in judged
        if isinstance(j.verdict, Held) or (isinstance(j.verdict, Blocked) and j.in_flight)
    ]
    full = sum(j.in_flight for j in ended_by_people) >= spec.migration.max_parallel
    holders = {j.server_id for j in ended_by_people}
    taken = [g.members for g in seen.groups if g.policy == "anti-affinity" and g.members & holders]
    waiting = [j for j in judged if isinstance(j.verdict, Move | Offload | Resume)]
    return tuple(j for j in waiting if full or any(j.server_id in members for members in taken))


def order(judged: ServerVerdict) -> tuple[int, int, int, str]:
    flavor = judged.server.flavor if judged.server else None
    return (
        judged.attempt,
        -(flavor.ram if flavor else 0),
        -(flavor.disk if flavor else 0),
        judged.server_id,
    )


def end_service(
    spec: DrainSpec, memory: Record, seen: Observation, decision: Decision
) -> tuple[HostAction, ...]:
    """Once the host is proven empty: stop nova-compute where the spec says so, and delete the service when it is down."""
    if (
        spec.service.after_drain is not AfterDrain.DELETE
        or not decision.proof.complete
        or seen.service is None
    ):
        return ()
    if seen.service.state != "down" and spec.service.while_running is WhileRunning.STOP:
        return stop_compute(memory, seen)
    if seen.service.state != "down" and spec.service.while_running is WhileRunning.WAIT:
        return ()
    return (DeleteService(seen.service.id),)


def stop_compute(memory: Record, seen: Observation) -> tuple[HostAction, ...]:
    """Nova takes some time to see it down; meanwhile it is not told again."""
    if memory.found_unit is None and seen.unit is None:
        return ()
    if seen.stopped_at is not None and seen.now - seen.stopped_at < STOP_AGAIN:
        return ()
    trouble = seen.host_trouble
    if trouble is not None and seen.now < trouble.at + failures.back_off(trouble.count, seen.host):
        return ()
    return (StopCompute(),)


def start_trouble(seen: Observation) -> HostTrouble | None:
    """Why nova-compute could not be started again; that it could not be stopped before is no reason not to try."""
    return seen.host_trouble if seen.host_trouble and seen.host_trouble.starting else None


def start_compute(memory: Record, seen: Observation) -> tuple[HostAction, ...] | None:
    """What is to be done until nova-compute that we stopped is again as found; None: nothing is left to do.

    One that was found stopped is kept from starting as well (Nova takes a while to see it down): that ends here.
    A host that cannot be reached is mostly one that is gone for good: after some tries it is left as it is.
    """
    if memory.found_unit is None:
        return None
    trouble = start_trouble(seen)
    if trouble is not None and trouble.count >= START_TRIES:
        return None
    if seen.started_again is None:
        rested = trouble is None or seen.now >= trouble.at + failures.back_off(
            trouble.count, seen.host
        )
        return (StartCompute(memory.found_unit),) if rested else ()
    registers = (
        found_running(memory)
        and seen.service is None
        and seen.now - seen.started_again < REGISTERS_WITHIN
    )
    return () if registers else None


def found_running(memory: Record) -> bool:
    return memory.found_unit is not None and memory.found_unit.startswith("running")


def not_running(memory: Record, seen: Observation) -> str:
    """What to do about a nova-compute that we stopped and that is not seen to be as found; empty: nothing."""
    stopped, trouble = f"nova-compute on {seen.host} was stopped by this drain", start_trouble(seen)
    if trouble is not None and memory.found_unit is not None:
        failed = f"{stopped} and could not be {'started' if found_running(memory) else 'let start'} again"
        by_hand = (
            f"Start nova-compute on {seen.host} by hand"
            if found_running(memory)
            else f"Let it start again on {seen.host}"
        )
        return f"{failed}, tried {trouble.count} times: {trouble.text}. {by_hand} (it was found {memory.found_unit})"
    if found_running(memory) and seen.service is None:
        return f"{stopped} and started again, but does not come back to Nova: see its log on {seen.host}"
    return ""


def give_back(
    who: DrainIdentity, spec: DrainSpec, memory: Record, seen: Observation, decision: Decision
) -> Decision:
    """End what is in flight, then restore the host as it was found; nothing is left to do when no action remains."""
    if not memory.begun:
        return replace(decision, given_back=True)
    decision = finish_moves(decision)
    if seen.service is not None and seen.service.status == "UNKNOWN":
        return decision  # its cell is down: neither servers nor moves in flight can be seen, nor can it be enabled
    unfinished = [j for j in decision.judged if j.in_flight or isinstance(j.verdict, Held)]
    unfinished = [j for j in unfinished if not (j.server and j.server.task_state in rules.BESIDES)]
    if unfinished:
        return decision
    if spec.on_delete is OnDelete.LEAVE:
        return replace(decision, given_back=True)
    start = start_compute(memory, seen)
    if start is not None:
        return replace(decision, actions=start)
    restore = compute_service.restore(who, memory, seen)
    decision = for_host(seen, decision, restore)
    return replace(decision, given_back=not restore, left_undone=not_running(memory, seen))
