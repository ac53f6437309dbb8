"""Plans against what the drain then does, with ample, just enough and too little capacity.

`mode: Plan` changes nothing. What it counts is what Nova's log of actions shows after the drain,
those that it calls blocked stay, and as many remain as it finds no capacity for. Of its time only
the magnitude is asserted. Each test prints both sides in one line.
"""

import re
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest
from tests.harness.books import NeverWronglyDrained
from tests.harness.kubernetes import Drain, Kube, Operator, condition
from tests.harness.mixed import METHOD, Mixed
from tests.harness.openstack import Json, Lab, until
from tests.harness.promises import COLD, LIVE

HOST = "cmp1"
HOSTS = (HOST, "cmp2", "cmp3", "cmp4", "cmp5")
TINY, LARGE = 64, 2048  # MiB of memory, which is what runs out first
KEEP = {"afterDrain": "KeepDisabled"}
WAYS = {LIVE: "live", COLD: "cold", ("shelveOffload",): "offload"}
TRIED = {
    ("live-migration", "migrate"),
    ("live-migration",),
    ("migrate",),
}  # `attempts: 1`, and no room each time
WITHIN = 900.0  # seconds for a drain, one move after the other
SLOW_RETRY = 600.0  # seconds: how often a server that found no room is tried again


@dataclass
class Sized:
    """The bed's five hosts with the capacity that a test wants, and flavors by their memory."""

    cloud: Lab
    mark: str = field(default_factory=lambda: f"plans-{secrets.token_hex(2)}")
    flavors: dict[int, str] = field(default_factory=dict)
    groups: list[str] = field(default_factory=list)

    def flavor(self, ram: int) -> str:
        """The name of one with so many MiB."""
        name = f"{self.mark}-{ram}"
        if ram not in self.flavors:
            body = {"flavor": {"name": name, "ram": ram, "vcpus": 1, "disk": 1}}
            status, answer = self.cloud.admin.ask("POST", "/flavors", body)
            assert status == 200, answer
            self.flavors[ram] = answer["flavor"]["id"]
        return name

    def group(self, policy: str) -> str:
        body = {"server_group": {"name": f"{self.mark}-{policy}", "policy": policy}}
        status, answer = self.cloud.admin.ask("POST", "/os-server-groups", body)
        assert status == 200, answer
        self.groups.append(answer["server_group"]["id"])
        return self.groups[-1]

    def leave(self, rooms: Mapping[str, int]) -> dict[str, str]:
        """Fill hosts so that just these MiB are free, and disable all others but the drained one.

        -> fillers by host.
        """
        for host in HOSTS:
            if host != HOST and host not in rooms:
                self.cloud.set_service(host, "disabled")
        free = {host: self.free(host) for host in rooms}
        return {
            h: self.cloud.boot(h, [f"filler-{h}"], flavor=self.flavor(free[h] - room))[0]
            for h, room in rooms.items()
        }

    def free(self, host: str) -> int:
        """MiB, by Placement."""
        path = f"/resource_providers/{(self.cloud.provider(host) or {})['uuid']}"
        memory = self.cloud.admin.get(f"{path}/inventories", "placement")["inventories"][
            "MEMORY_MB"
        ]
        used = self.cloud.admin.get(f"{path}/usages", "placement")["usages"]["MEMORY_MB"]
        return int((memory["total"] - memory["reserved"]) * memory["allocation_ratio"]) - int(used)

    def large(self, running: int, stopped: int, ram: int = LARGE) -> None:
        """So many on the drained host.

        They are not pinned to its zone, as servers are that were booted with `nova:HOST`.
        """
        names = [f"{ram}-{n}" for n in range(running + stopped)]
        ids = self.cloud.boot(None, names, flavor=self.flavor(ram), hypervisor_hostname=HOST)
        self.cloud.bring(ids[running:], "SHUTOFF")

    def past(self) -> None:
        """Moves of both kinds away from the host, four at once: plans estimate time from them.

        From here on each takes some seconds in the hypervisor, so that the time is not that of
        Nova's own work alone.
        """
        self.cloud.fault("all", live_migration="sleep:4", migrate_disk_and_power_off="sleep:4")
        ids = self.cloud.boot(HOST, [f"past-{n}" for n in range(4)])
        for server_id in ids[:2]:
            self.cloud.admin.action(
                server_id, "os-migrateLive", {"host": "cmp2", "block_migration": "auto"}
            )
        for server_id in ids[2:]:
            self.cloud.admin.action(server_id, "migrate", {"host": "cmp2"})
        for server_id in ids[2:]:
            self.cloud.wait_status(server_id, "VERIFY_RESIZE")
            self.cloud.admin.action(server_id, "confirmResize")
        ended = {"completed", "confirmed"}
        until(
            "their records ended",
            lambda: {m["status"] for m in self.cloud.migrations(HOST)} <= ended,
        )

    def state(self) -> Json:
        """All of Nova that a drain could change: services, and host, state, actions of servers."""
        services = self.cloud.admin.get("/os-services?binary=nova-compute")["services"]
        return {
            "services": {s["host"]: (s["id"], s["status"], s["disabled_reason"]) for s in services},
            "servers": {
                s["id"]: (
                    s["name"],
                    s["OS-EXT-SRV-ATTR:host"],
                    s["status"],
                    self.cloud.actions(s["id"]),
                )
                for s in self.cloud.servers()
            },
        }


@pytest.fixture
def sized(cloud: Lab, tidy_end: None) -> Iterator[Sized]:
    cloud.tidy(HOSTS)
    found = Sized(cloud)
    yield found
    cloud.tidy(HOSTS)
    for flavor in found.flavors.values():
        cloud.admin.ask("DELETE", f"/flavors/{flavor}")
    for group in found.groups:
        cloud.admin.ask("DELETE", f"/os-server-groups/{group}")


@dataclass
class Compared:
    """One drain, planned and then done.

    `before`: the state that it was planned from; `seconds`: until nothing moved any more.
    """

    sized: Sized
    drain: Drain
    planned: Json
    before: Json
    seconds: float = 0.0

    @classmethod
    def plan(
        cls, sized: Sized, kube: Kube, namespace: str, operator: Operator, **spec: Json
    ) -> "Compared":
        """AssertionError where making the plan has changed anything."""
        before = sized.state()
        drain = Drain.apply(kube, namespace, HOST, METHOD, mode="Plan", service=KEEP, **spec)
        status = drain.until("a plan", lambda s: condition(s, "Ready").get("reason") == "Planned")
        polls = operator.polls
        until("polls after the plan", lambda: operator.polls >= polls + 2)
        assert sized.state() == before
        return cls(sized, drain, status, before)

    @property
    def ways(self) -> Counter[str]:
        plan = self.planned["plan"]
        return Counter({way: plan[way] for way in ("live", "cold", "offload")})

    @property
    def blocked(self) -> dict[str, str]:
        """Who cannot move, by name: the reason."""
        return {p["name"]: p["reason"] for p in self.planned["problems"]}

    @property
    def homeless(self) -> int:
        """How many find no capacity, or only closely packed, as the condition says."""
        lost = r"(?:no capacity for|may find none for) (\d+)"
        found = re.search(lost, condition(self.planned, "CapacityAvailable")["message"])
        return int(found[1]) if found else 0

    def go(self, *phases: str) -> Json:
        """Drain, until it is in one of these phases."""
        began = time.monotonic()
        self.drain.patch({"mode": "Drain"})
        status = self.drain.until(f"{phases}", lambda s: s["phase"] in phases, timeout=WITHIN)
        self.seconds = time.monotonic() - began
        return status

    def done(self) -> dict[str, str]:
        """What the drain did with each server of the host, by name, in a plan's terms."""
        servers, found = self.sized.state()["servers"], {}
        for server_id, (name, *was, log) in self.before["servers"].items():
            if was[0] == HOST:
                _, *now, longer = servers[server_id]
                actions = tuple(longer[len(log) :])
                ways = dict.fromkeys(TRIED, "no room") | {(): "stays"} if now == was else WAYS
                found[name] = ways.get(actions, " ".join(actions))
        return found

    def line(self, cloud: str, done: Mapping[str, str]) -> str:
        def describe(ways: Mapping[str, int], stays: int, lost: int) -> str:
            moves = ", ".join(f"{way} {ways[way]}" for way in ("live", "cold", "offload"))
            return f"{moves}, cannot move {stays}, no room {lost}"

        ways, plan = Counter(done.values()), self.planned["plan"]
        planned = describe(self.ways, plan["blocked"], self.homeless)
        really = describe(ways, ways["stays"], ways["no room"])
        return (
            f"{cloud}: planned {planned}, {plan['capacity']},"
            f" {plan.get('estimatedSeconds', '?')} s; really {really}, {self.seconds:.0f} s"
        )

    def agree(self, done: Mapping[str, str]) -> None:
        """Which stay, how many go by each way, and how many find no capacity for it."""
        ways = Counter(done.values())
        assert ways.keys() <= {*self.ways, "stays", "no room"}, done
        assert {name for name, way in done.items() if way == "stays"} == self.blocked.keys()
        assert len(self.blocked) == self.planned["plan"]["blocked"]
        went = Counter({way: ways[way] for way in ("live", "cold", "offload")})
        assert went <= self.ways
        assert (self.ways - went).total() == ways["no room"] == self.homeless
        assert sum(ways.values()) == went.total() + ways["stays"] + ways["no room"], done

    def magnitude(self) -> None:
        estimated = self.planned["plan"]["estimatedSeconds"]
        assert self.seconds / 5 < estimated < self.seconds * 5, (estimated, self.seconds)


def say(capsys: pytest.CaptureFixture[str], text: str) -> None:
    with capsys.disabled():
        print(f"\n{text}")


def left(status: Json) -> dict[str, str]:
    return {p["name"]: p["reason"] for p in status["problems"]}


def test_with_plenty_of_room_all_move_but_those_that_cannot(
    kube: Kube,
    sized: Sized,
    operator: Operator,
    credentials: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cloud = sized.cloud
    sized.past()
    mixed = Mixed.boot(cloud, HOST)
    for state in ("SUSPENDED", "RESCUE"):
        cloud.boot(HOST, [state.lower()], state)
    (locked,) = cloud.boot(HOST, ["locked"])
    cloud.admin.action(locked, "lock", {})
    cloud.boot(HOST, ["alone"], hints={"group": sized.group("affinity")})
    compared = Compared.plan(sized, kube, credentials, operator, servers={"locked": "Block"})
    cannot = {
        "suspended": "Suspended",
        "rescue": "Rescued",
        "locked": "Locked",
        "alone": "AffinityGroup",
    }
    assert compared.blocked == cannot
    assert condition(compared.planned, "CapacityAvailable")["status"] == "True"

    status = compared.go("Stalled")
    done = compared.done()
    say(capsys, compared.line("roomy", done))
    compared.agree(done)
    compared.magnitude()
    mixed.all_moved_once()
    assert left(status) == cannot
    assert operator.healthy()


def test_with_just_enough_room_all_move(
    kube: Kube,
    sized: Sized,
    operator: Operator,
    credentials: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """To the last MiB.

    The large ones go first, and there is just one place for each, whatever Nova chooses. Placement
    may all the same give one place to two that ask at once (docs/safety.md): there is then more
    capacity for the rest.
    """
    sized.past()
    mixed = Mixed.boot(sized.cloud, HOST)
    sized.large(running=2, stopped=2)
    sized.leave({"cmp2": 2 * LARGE + 4 * TINY, "cmp3": LARGE + 4 * TINY, "cmp4": LARGE + 3 * TINY})
    compared = Compared.plan(sized, kube, credentials, operator)
    assert condition(compared.planned, "CapacityAvailable")["status"] == "True"

    with NeverWronglyDrained(sized.cloud, compared.drain, HOST):
        compared.go("Drained")
        compared.drain.wait("Ready")
    done = compared.done()
    free = [sized.free(host) for host in ("cmp2", "cmp3", "cmp4")]
    say(
        capsys,
        f"{compared.line('tight', done)}; {-sum(min(0, mib) for mib in free)} MiB given out twice",
    )
    compared.agree(done)
    compared.magnitude()
    mixed.all_moved_once()
    assert sum(free) == 0
    assert operator.healthy()


@pytest.mark.timeout(0)
def test_with_too_little_room_as_many_stay_as_the_plan_says(
    kube: Kube,
    sized: Sized,
    operator: Operator,
    credentials: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Capacity for two of four large ones and seven of eleven small ones; one more has a group.

    That group allows no host. One move after the other: of several that ask at once, Placement may
    let in more than there is capacity for (docs/safety.md).
    """
    cloud = sized.cloud
    sized.past()
    Mixed.boot(cloud, HOST)
    sized.large(running=2, stopped=2)
    apart = {"group": sized.group("anti-affinity")}
    for host in ("cmp2", "cmp3", "cmp4", HOST):
        cloud.boot(host, [f"apart-{host}"], hints=apart)
    sized.leave({"cmp2": LARGE + 4 * TINY, "cmp3": LARGE + 3 * TINY, "cmp4": 0})
    compared = Compared.plan(
        sized, kube, credentials, operator, migration={"attempts": 1, "maxParallel": 1}
    )
    capacity = condition(compared.planned, "CapacityAvailable")
    assert (capacity["status"], compared.homeless, compared.blocked) == ("False", 7, {})

    with NeverWronglyDrained(cloud, compared.drain, HOST) as watch:
        status = compared.go("Stalled", "Drained", "Deleted")
        done = compared.done()
        say(capsys, compared.line("too small", done))
        assert status["phase"] == "Stalled"
        compared.agree(done)
        compared.magnitude()
        assert Counter(left(status).values()) == {
            "NoCapacity": 2,
            "NoValidHostByZone": 4,
            "NoValidHostByGroup": 1,
        }
        assert left(status)[f"apart-{HOST}"] == "NoValidHostByGroup"
        assert sorted(s["name"] for s in cloud.servers_on(HOST)) == sorted(left(status))
        assert not watch.times

        cloud.set_service("cmp5", "enabled")
        compared.drain.wait("Drained", SLOW_RETRY + WITHIN)
        compared.drain.wait("Ready")
    assert cloud.servers_on(HOST) == []
    assert compared.drain.condition("CapacityAvailable")["status"] == "True"
    assert operator.healthy()


def test_room_that_only_close_packing_finds_is_not_found(
    kube: Kube,
    sized: Sized,
    operator: Operator,
    credentials: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Two large servers fill one host and four of three quarters the other.

    Nova takes the emptiest host, and so separates the two.
    """
    sized.large(running=2, stopped=0)
    sized.large(running=0, stopped=4, ram=LARGE * 3 // 4)
    sized.leave({"cmp2": 2 * LARGE, "cmp3": 3 * LARGE})
    compared = Compared.plan(
        sized, kube, credentials, operator, migration={"attempts": 1, "maxParallel": 1}
    )
    assert (condition(compared.planned, "CapacityAvailable")["status"], compared.homeless) == (
        "True",
        1,
    )

    status = compared.go("Stalled", "Drained")
    done = compared.done()
    say(capsys, compared.line("only packed", done))
    compared.agree(done)
    assert list(left(status).values()) == ["NoCapacity"]
    assert operator.healthy()


def test_a_drain_that_requires_room_begins_when_there_is(
    kube: Kube, sized: Sized, operator: Operator, credentials: str
) -> None:
    cloud = sized.cloud
    mixed = Mixed.boot(cloud, HOST, running=2, stopped=1)
    fillers = sized.leave({"cmp2": TINY})
    before = sized.state()
    drain = Drain.apply(
        kube, credentials, HOST, METHOD, service=KEEP, migration={"requireCapacity": True}
    )

    status = drain.until("refused for want of room", lambda s: s["phase"] == "Stalled")
    assert condition(status, "Stalled")["reason"] == "CapacityShort"
    assert "no capacity for 3 of 4 servers on 1 other host" in status["message"]
    polls = operator.polls
    until("polls after that", lambda: operator.polls >= polls + 2)
    assert sized.state() == before

    with NeverWronglyDrained(cloud, drain, HOST):
        cloud.delete([fillers["cmp2"]])
        drain.wait("Drained")
        drain.wait("Ready")
    mixed.all_moved_once()
    assert condition(drain.status, "CapacityAvailable")["status"] == "True"
    assert operator.healthy()
