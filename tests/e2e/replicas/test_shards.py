"""Two operators for the drains of one namespace, divided by a label."""

import time
from pathlib import Path
from typing import Any

import pytest
from tests.beds.sim.simulator import Simulator
from tests.e2e.api_rules.installs import Install
from tests.e2e.replicas.conftest import FLAGS, HOST, HOSTS, Make
from tests.harness.kubernetes import ACCOUNT, Drain, Kube, Operator
from tests.harness.openstack import until
from tests.harness.replicas import Replica, of_kubernetes, of_nova, terms

MARK = "quiesce.dev/shard."
RUN: dict[str, Any] = {"service": {"afterDrain": "KeepDisabled"}}


def label(kube: Kube, drain: Drain, shard: str) -> None:
    kube.kubectl("label", f"cnd/{drain.name}", "-n", drain.namespace, f"shard={shard}",
                 "--overwrite")  # fmt: skip


def marks(drain: Drain) -> list[str]:
    finalizers = (drain.get() or {})["metadata"].get("finalizers") or ()
    return [name.removeprefix(MARK) for name in finalizers if name.startswith(MARK)]


def shard(operators: Make, name: str, namespace: str) -> Operator:
    lease = f"{ACCOUNT[0]}/{namespace}-{name}"
    return operators("--lease", lease, "--watch-label-selector", f"shard={name}")


@pytest.mark.promise("never-1", "never-5")
@pytest.mark.timeout(600)
def test_a_drain_that_moves_to_another_shard_goes_on_there(
    kube: Kube, sim: Simulator, operators: Make, namespace: str, audit: Path
) -> None:
    began = time.time()
    one, other = (Replica(shard(operators, name, namespace)) for name in "ab")
    drain = Drain.apply(kube, namespace, HOST, migration={"maxParallel": 4}, **RUN)
    until("both lead", lambda: all("leads:" in each.log for each in (one, other)))
    assert "phase" not in drain.status, "no selector matches it"

    label(kube, drain, "a")
    until("its mark", lambda: marks(drain) == [f"{namespace}-a"])
    until("moves", lambda: len(of_nova(sim.log)) > 4, pause=0.02)
    label(kube, drain, "b")
    until("the other's mark", lambda: marks(drain) == [f"{namespace}-b"])
    begun = len(of_nova(sim.log))
    until("moves", lambda: len(of_nova(sim.log)) > begun + 4, pause=0.02)
    other.operator.kill()  # and no one holds its Lease for long
    label(kube, drain, "a")
    until("the first one's mark", lambda: marks(drain) == [f"{namespace}-a"])
    drain.wait("Drained", timeout=300)

    written = [*of_nova(sim.log), *of_kubernetes(audit, began, namespace)]
    assert terms(written) == [one.identity, other.identity, one.identity]
    for server in sim.cloud.state.servers.values():
        done = [each.name for each in sim.cloud.state.actions[server.id] if each.name != "create"]
        assert done == ["migrate", "confirmResize"], server.name
    drain.delete()
    assert one.operator.healthy()


@pytest.mark.promise("never-6")
@pytest.mark.timeout(600)
def test_two_drains_for_one_host_in_different_shards_are_detected(
    kube: Kube, sim: Simulator, operators: Make, namespace: str
) -> None:
    drains = {name: Drain(kube, namespace, f"drain-{name}") for name in "ab"}
    for name, each in drains.items():
        each.write(HOSTS[1], **RUN)
        label(kube, each, name)
    for name in "ab":
        shard(operators, name, namespace)

    def reasons() -> list[str]:
        return sorted(each.condition("Ready").get("reason", "") for each in drains.values())

    until("one is kept off", lambda: "HostTaken" in reasons() and len(set(reasons())) == 2)
    held = [each for each in drains.values() if "foundStatus" in each.status.get("service", {})]
    assert len(held) == 1
    held[0].wait("Drained")
    held[0].delete()
    (second,) = (each for each in drains.values() if each is not held[0])
    second.wait("Drained")


@pytest.mark.promise("always-10")
@pytest.mark.timeout(600)
def test_two_operators_whose_scopes_overlap_do_not_both_work(
    kube: Kube, operators: Make, namespace: str
) -> None:
    first = Replica(operators("--lease", f"{ACCOUNT[0]}/{namespace}-1"))
    until("it leads", lambda: "leads:" in first.log)
    second = Replica(operators("--lease", f"{ACCOUNT[0]}/{namespace}-2"))
    until("a word about it", lambda: "watches some of the same resources" in second.log)
    assert "leads:" not in second.log
    assert first.operator.stop() == 0
    until("the second one leads", lambda: "leads:" in second.log)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("installed", ["overlays/shards"], indirect=True)
def test_the_overlay_installs_two_shards(
    kube: Kube, sim: Simulator, installed: Install, tmp_path: Path
) -> None:
    """Its account and rights, and what each Deployment tells its operator. Nothing names a Lease:
    each shard has to find one of its own.
    """
    namespace, name = installed.namespace, installed.account.rpartition(":")[2]
    account = kube.account_kubeconfig(tmp_path / "kubeconfig", (namespace, name))
    running: dict[str, Operator] = {}
    try:
        for deployment in installed.of_kind("Deployment"):
            (container,) = deployment["spec"]["template"]["spec"]["containers"]
            told = {each["name"]: each["value"] for each in container["env"]}
            log = tmp_path / f"{deployment['metadata']['name']}.log"
            told["QUIESCE_NAMESPACE"] = namespace  # the one in which it has rights here
            operator = Operator(account, log, (), FLAGS, told)
            running[told["QUIESCE_WATCH_LABEL_SELECTOR"]] = operator.start()
        plain, labelled = (Drain(kube, namespace, f"drain-{host}") for host in HOSTS[1:3])
        plain.write(HOSTS[1], **RUN)
        labelled.write(HOSTS[2], **RUN)
        label(kube, labelled, "b")
        drains = (plain, labelled)
        for drain in drains:
            drain.wait("Drained", timeout=300)
        of_rest, of_b = map(marks, drains)
        assert len(of_rest) == len(of_b) == 1
        assert of_rest != of_b
        for selector, drain in (("shard notin (b)", plain), ("shard=b", labelled)):
            drained = f"drain={namespace}/{drain.name} event=Drained"
            assert drained in running[selector].text()
        assert all(operator.healthy() for operator in running.values())
        for drain in drains:
            drain.delete()
    finally:
        for each in running.values():
            each.kill()
            print(f"---- {each.log.name}\n{each.text()[-12000:]}")
