"""People act on servers while a drain is at work, and after it.

A server that an administrator forces onto the drained host is moved off again. Servers that
are deleted, confirmed or reverted by people in the middle of the drain are counted for what
became of them, and the drain comes to its end.
"""

import pytest
from tests.harness.kubernetes import Drain, Kube, Operator, condition
from tests.harness.openstack import Lab
from tests.harness.promises import COLD, moved

KEEP = {"afterDrain": "KeepDisabled"}
CAN_FORCE = "2.67"  # the last version of the API that lets an administrator pass the scheduler by


@pytest.mark.promise("always-7")
def test_a_server_that_lands_on_a_drained_host_is_moved(
    kube: Kube, cloud: Lab, operator: Operator, credentials: str, host: str
) -> None:
    (late,) = cloud.boot("cmp2", ["late"])
    drain = Drain.apply(kube, credentials, host, service=KEEP)
    drain.wait("Ready")
    drained = condition(drain.status, "Drained")["lastTransitionTime"]

    force = {"os-migrateLive": {"host": host, "block_migration": "auto", "force": True}}
    answer, text = cloud.admin.ask("POST", f"/servers/{late}/action", force, microversion=CAN_FORCE)
    assert answer == 202, text
    status = drain.until("moved off again", lambda s: s["progress"]["moved"] == 1)
    drain.wait("Ready")

    moved(cloud, late, host, "ACTIVE", COLD, before=("create", "live-migration"))
    status = drain.status
    assert (status["phase"], status["progress"]["summary"]) == ("Drained", "1/1")
    assert condition(status, "Drained")["lastTransitionTime"] > drained  # it was False in between
    assert operator.healthy()


@pytest.mark.promise("always-1")
def test_what_people_do_in_the_middle_is_counted_right(
    kube: Kube, cloud: Lab, operator: Operator, credentials: str, host: str
) -> None:
    names = ["confirmed", "decided", "deleted", "reverted"]
    confirmed, decided, deleted, reverted = cloud.boot(host, names)
    (suspended,) = cloud.boot(host, ["suspended"], "SUSPENDED")
    drain = Drain.apply(kube, credentials, host, service=KEEP, confirmation={"policy": "Manual"})
    status = drain.until("all wait for a word", lambda s: len(problems(s)) == 5)
    assert {(p["name"], p["reason"]) for p in status["problems"]} == {
        *((name, "AwaitingDecision") for name in names),
        ("suspended", "Suspended"),
    }

    cloud.admin.action(confirmed, "confirmResize")
    cloud.admin.action(reverted, "revertResize")
    cloud.delete([deleted, suspended])
    status = drain.until(
        "the reverted one moved again", lambda s: problems(s) == {"decided", "reverted"}
    )
    assert (status["progress"]["moved"], status["progress"]["blocked"]) == (1, 2)
    drain.patch(
        {
            "confirmation": {
                "decisions": [{"server": s, "action": "Confirm"} for s in (decided, reverted)]
            }
        }
    )
    drain.wait("Ready")

    moved(cloud, confirmed, host, "ACTIVE", COLD)
    moved(cloud, decided, host, "ACTIVE", COLD)
    moved(cloud, reverted, host, "ACTIVE", ["migrate", "revertResize", *COLD])
    status = drain.status
    assert (status["phase"], status["progress"]["summary"], status["problems"]) == (
        "Drained",
        "3/3",
        [],
    )
    assert operator.healthy()


def problems(status: dict[str, list[dict[str, str]]]) -> set[str]:
    return {problem["name"] for problem in status.get("problems") or ()}
