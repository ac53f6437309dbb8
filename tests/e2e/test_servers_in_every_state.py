"""Servers in every state that can be made are planned and drained as the table of states says.

One host full of servers, and some that are just leaving it. One resource with `mode: Plan` is
edited from method to method and from policy to policy; what it shows must be what docs/states.md
has, row by row. Then the same resource becomes a drain: all that can be moved leaves as the table
says, the rest is named, is fixed by people, and leaves too.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from tests.harness.books import NeverWronglyDrained
from tests.harness.kubernetes import Drain, Kube, Operator, condition
from tests.harness.openstack import Json, Lab, until
from tests.harness.promises import COLD, LIVE, moved
from tools.states import DEPARTED, FAILED, PLAIN, PROPERTIES, UNDER_WAY, Case

from quiesce.api.drain.spec import Method
from quiesce.drain.model.verdict import Blocked, Held, Move, Offload, Resume, Verdict

# `servers` and `confirmation` in the spec: the defaults, and the other choice of every policy.
USUAL: Json = {
    "servers": {"suspended": "Block", "shelved": "Offload", "locked": "Move"},
    "confirmation": {"foreign": "Wait"},
}
OTHERWISE: Json = {
    "servers": {"suspended": "Resume", "shelved": "Block", "locked": "Block"},
    "confirmation": {"foreign": "Confirm"},
}
TO_LIVE = ("os-migrateLive", {"host": None, "block_migration": "auto"})
HARD = {"type": "HARD"}


def row(section: Sequence[Case], status: str, when: str = "", task: str | None = None) -> Case:
    """A row of docs/states.md."""
    (found,) = (c for c in section if (c.status, c.when, c.task) == (status, when, task))
    return found


@dataclass(frozen=True)
class State:
    """One server in one state.

    usual, other: its row of the table, and where a policy matters, the one under the other choice.
    bring: what another user does to an ACTIVE server to make the state (an action, its argument).
    faults: what keeps it there. fix: what a person does so that it can be moved.
    done: all that Nova's log has of it in the end; left: its status then.
    """

    usual: Case
    other: Case | None = None
    bring: tuple[str, Any] | None = None
    faults: dict[str, str] = field(default_factory=dict)
    group: str | None = None
    fix: tuple[str, Any] | None = None
    done: tuple[str, ...] = LIVE
    left: str = "ACTIVE"

    def verdict(self, method: Method, policies: Json) -> Verdict | None:
        chosen = self.other if self.other and policies is OTHERWISE else self.usual
        return chosen.judged(method)[1]


ON_THE_HOST = {
    "active": State(row(PLAIN, "ACTIVE")),
    "shutoff": State(
        row(PLAIN, "SHUTOFF"), bring=("os-stop", None), done=("stop", *COLD), left="SHUTOFF"
    ),
    "paused": State(
        row(PLAIN, "PAUSED"), bring=("pause", None), done=("pause", *LIVE), left="PAUSED"
    ),
    "suspended": State(
        row(PLAIN, "SUSPENDED"),
        row(PLAIN, "SUSPENDED", "`servers.suspended: Resume`"),
        bring=("suspend", None),
        done=("suspend", "resume", *LIVE),
    ),
    "shelved": State(
        row(PLAIN, "SHELVED"),
        row(PLAIN, "SHELVED", "`servers.shelved: Block`"),
        bring=("shelve", None),
        done=("shelve", "shelveOffload"),
        left="SHELVED_OFFLOADED",
    ),
    "rescued": State(
        row(PLAIN, "RESCUE"),
        bring=("rescue", {}),
        fix=("unrescue", None),
        done=("rescue", "unrescue", *LIVE),
    ),
    "failed": State(
        row(PLAIN, "ERROR"),
        bring=("os-resetState", {"state": "error"}),
        fix=("reboot", HARD),
        done=("resetState", "reboot", *LIVE),
    ),
    "soft-deleted": State(
        row(PLAIN, "SOFT_DELETED"), fix=("restore", None), done=("restore", *LIVE)
    ),
    "locked": State(
        row(PLAIN, "ACTIVE", "locked"),
        row(PLAIN, "ACTIVE", "locked, `servers.locked: Block`"),
        bring=("lock", {}),
        done=("lock", *LIVE),
    ),
    "building": State(row(PLAIN, "BUILD", task="spawning"), faults={"spawn": "hang"}),
    "rebuilding": State(
        row(PLAIN, "REBUILD", task="rebuilding"),
        faults={"destroy": "hang"},
        done=("rebuild", *LIVE),
    ),
    "stopping": State(
        row(PLAIN, "ACTIVE", "any other task", "powering-off"),
        bring=("os-stop", None),
        faults={"power_off": "hang"},
        done=("stop", *COLD),
        left="SHUTOFF",
    ),
    "deleted": State(
        row(PLAIN, "ACTIVE", task="deleting"),
        bring=("forceDelete", None),
        faults={"destroy": "hang"},
        left="gone",
    ),
    "pinned": State(row(PROPERTIES, "ACTIVE", "pinned to an availability zone")),
    "alone": State(
        row(PROPERTIES, "ACTIVE", "alone in its affinity group"),
        group="affinity",
        fix=("shelve", None),
        done=("shelve", "shelveOffload"),
        left="SHELVED_OFFLOADED",
    ),
    "apart": State(
        row(PROPERTIES, "ACTIVE", "in an anti-affinity group, no other member in flight"),
        group="anti-affinity",
    ),
    **{
        f"pair-{number}": State(
            row(FAILED, "ACTIVE", "every member of its affinity group is on this host"),
            group="affinity of two",
            fix=("shelve", None),
            done=("shelve", "shelveOffload"),
            left="SHELVED_OFFLOADED",
        )
        for number in (1, 2)
    },
    "resizing": State(
        row(UNDER_WAY, "RESIZE", "a tenant's resize", "resize_migrating"),
        faults={"migrate_disk_and_power_off": "hang"},
        done=("resize", "confirmResize"),
    ),
    "migrating": State(
        row(UNDER_WAY, "MIGRATING", "another admin's move", "migrating"),
        bring=TO_LIVE,
        faults={"live_migration": "hang"},
    ),
    "came": State(
        row(UNDER_WAY, "VERIFY_RESIZE", "resized or migrated *to* this host"),
        row(UNDER_WAY, "VERIFY_RESIZE", "the same, `confirmation.foreign: Confirm`"),
        done=(*COLD, *LIVE),
    ),
}
AWAY = {
    "resized": State(
        row(DEPARTED, "VERIFY_RESIZE", "a tenant's resize"),
        row(DEPARTED, "VERIFY_RESIZE", "the same, `confirmation.foreign: Confirm`"),
        done=("resize", "confirmResize"),
    ),
    "migrated": State(
        row(DEPARTED, "VERIFY_RESIZE", "another admin's migration"),
        row(DEPARTED, "VERIFY_RESIZE", "the same, `confirmation.foreign: Confirm`"),
        bring=("migrate", None),
        done=COLD,
    ),
    "leaving": State(
        row(DEPARTED, "RESIZE", "another user's move to this host or from it", "resize_finish"),
        bring=("migrate", None),
        faults={"finish_migration": "hang"},
        done=COLD,
    ),
}
STATES = ON_THE_HOST | AWAY


@pytest.fixture
def groups(cloud: Lab) -> Iterator[dict[str, str]]:
    """IDs of server groups, by the names that the states use. Deleted after the test."""
    made = {}
    for name in ("affinity", "anti-affinity", "affinity of two"):
        body = {"server_group": {"name": name, "policy": name.removesuffix(" of two")}}
        status, answer = cloud.admin.ask("POST", "/os-server-groups", body)
        assert status == 200, answer
        made[name] = answer["server_group"]["id"]
    yield made
    for group in made.values():
        cloud.admin.ask("DELETE", f"/os-server-groups/{group}")


def boot(cloud: Lab, host: str, other: str, groups: dict[str, str]) -> dict[str, str]:
    """All servers, ACTIVE on the host; one stays in BUILD, and one is elsewhere until later."""
    for name, state in STATES.items():
        if state.faults:
            cloud.fault(f"server:{name}", **state.faults)

    def create(name: str) -> str:
        group = STATES[name].group
        return cloud.create(
            other if name == "came" else host,
            name,
            hints={"group": groups[group]} if group else None,
        )

    with ThreadPoolExecutor(4) as pool:
        ids = dict(zip(STATES, pool.map(create, STATES), strict=True))
    cloud.boot(other, ["apart-already"], hints={"group": groups["anti-affinity"]})
    cloud.wait_all((server_id for name, server_id in ids.items() if name != "building"), "ACTIVE")
    return ids


def bring(cloud: Lab, host: str, ids: dict[str, str]) -> None:
    """Every server into its state, and wait until Nova shows it so."""
    actions = {name: state.bring for name, state in STATES.items() if state.bring}
    actions["rebuilding"] = ("rebuild", {"imageRef": cloud.image("tiny")})
    actions |= dict.fromkeys(
        ("resizing", "resized"), ("resize", {"flavorRef": cloud.flavor("small")})
    )
    actions["came"] = ("migrate", {"host": host})
    for name, action in actions.items():
        cloud.admin.action(ids[name], *action)
    cloud.soft_delete(ids["soft-deleted"])
    wanted = {
        name: (state.usual.status, state.usual.task, name in ON_THE_HOST)
        for name, state in STATES.items()
    }

    def differs() -> dict[str, Any]:
        shown = {
            s["name"]: (s["status"], s["OS-EXT-STS:task_state"], s["OS-EXT-SRV-ATTR:host"] == host)
            for s in cloud.servers()
        }
        return {name: shown.get(name) for name in wanted if shown.get(name) != wanted[name]}

    until("every state made", lambda: not (left := differs()) or print(left), pause=1.0)


def expected(method: Method, policies: Json) -> tuple[dict[str, str], dict[str, int]]:
    """What the table has: reasons of problems by name, and how many are moved by which way."""
    verdicts = {name: state.verdict(method, policies) for name, state in STATES.items()}
    problems = {
        name: str(v.reason) for name, v in verdicts.items() if isinstance(v, Blocked | Held)
    }
    ways = {"live": 0, "cold": 0, "offload": 0, "blocked": 0}
    for name in ON_THE_HOST:
        match verdicts[name]:
            case Move(method=move):
                ways[move] += 1
            case Resume():
                ways["cold" if method is Method.COLD else "live"] += 1
            case Offload():
                ways["offload"] += 1
            case Blocked() | Held():
                ways["blocked"] += 1
    return problems, ways


def shown(status: Json) -> tuple[dict[str, str], dict[str, int]]:
    problems = {p["name"]: p["reason"] for p in status["problems"]}
    return problems, {way: status["plan"][way] for way in ("live", "cold", "offload", "blocked")}


def is_of(generation: int, status: Json) -> bool:
    return bool(status["observedGeneration"] == generation)


@pytest.mark.promise("never-2", "always-3", "always-6")
def test_plan_and_drain_follow_the_table(
    kube: Kube,
    cloud: Lab,
    operator: Operator,
    credentials: str,
    hosts: tuple[str, ...],
    groups: dict[str, str],
) -> None:
    host, other, *_ = hosts
    ids = boot(cloud, host, other, groups)
    bring(cloud, host, ids)
    logs = {name: cloud.actions(server_id) for name, server_id in ids.items()}
    drain = Drain.apply(
        kube, credentials, host, mode="Plan", service={"afterDrain": "KeepDisabled"}
    )

    for policies in (USUAL, OTHERWISE):
        for method in Method:
            drain.patch({"migration": {"method": str(method)}, **policies})
            generation = (drain.get() or {})["metadata"]["generation"]
            status = drain.until("a plan of this very spec", partial(is_of, generation))
            assert shown(status) == expected(method, policies), (method, policies)
            assert status["progress"]["total"] == len(ON_THE_HOST)
            assert condition(status, "Ready")["reason"] == "Planned"
    assert {name: cloud.actions(server_id) for name, server_id in ids.items()} == logs
    assert (cloud.service(host) or {})["status"] == "enabled"

    with NeverWronglyDrained(cloud, drain, host):
        drain.patch(
            {
                "mode": "Drain",
                "migration": {"method": "LiveThenCold"},
                **USUAL,
                "confirmation": {"foreign": "Confirm"},
            }
        )
        drain.until("begun", lambda s: condition(s, "ServiceDisabled")["status"] == "True")
        cloud.clear_faults()
        problems, _ = expected(Method.LIVE_THEN_COLD, USUAL)
        blocked = {
            name: reason for name, reason in problems.items() if reason != "ForeignResize"
        }  # those are confirmed
        drain.until(
            "only those remaining that need a person",
            lambda s: s["phase"] == "Stalled" and shown(s)[0] == blocked,
        )

        drain.patch({"servers": {"suspended": "Resume"}})
        for name, state in STATES.items():
            if state.fix:
                cloud.admin.action(ids[name], *state.fix)
        drain.wait("Drained")
        drain.wait("Ready")
    logs = {
        name: cloud.actions(ids[name])[1:] for name, state in STATES.items() if state.left != "gone"
    }
    assert logs == {
        name: list(state.done) for name, state in STATES.items() if state.left != "gone"
    }
    for name, state in STATES.items():
        ended_well(cloud, ids[name], host, state)
    assert operator.healthy()


def ended_well(cloud: Lab, server_id: str, host: str, state: State) -> None:
    if state.left == "gone":
        assert cloud.server(server_id) is None
    elif state.left == "SHELVED_OFFLOADED":
        assert (cloud.server(server_id) or {})["status"] == state.left
        assert cloud.actions(server_id) == ["create", *state.done]
        assert cloud.allocations(server_id) == {}
    else:
        moved(cloud, server_id, host, state.left, state.done)
