"""Without any one access rule, and without any one policy, the status names it.

Once it is there the drain goes on by itself, to its right end. Three scenes at once and one alone,
each on a host of its own with credentials of its own, and one operator.
"""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tools.access_rules import access_rules

from tests.credentials.scenes import ALONE, DESTINATION, SCENES, Stage, network
from tests.credentials.user import Policies, User, grants, title
from tests.harness.kubernetes import Kube, Operator
from tests.harness.openstack import Lab

HOSTS = ("cmp1", "cmp2", "cmp3", "cmp4")
ROLES = tuple(f"quiesce-{host}" for host in HOSTS)
ABSENT = ("block-storage", "volumev3", "image")
"""Services of which nothing is asked: the cloud has no Cinder, and its Nova shows the properties of
images itself."""

RULES = [title(rule) for rule in access_rules() if rule["service"] not in ABSENT]


@pytest.fixture(scope="module")
def policies() -> Policies:
    found = Policies(ROLES)
    found.write()
    return found


@pytest.fixture(scope="module")
def user(cloud: Lab) -> Iterator[User]:
    found = User(cloud, "rule-by-rule", ROLES)
    found.gone()
    yield found.make()
    found.gone()


@pytest.fixture(scope="module")
def namespace(kube: Kube) -> Iterator[str]:
    name = kube.make_namespace(f"c-{secrets.token_hex(3)}")
    yield name
    gone = '{"metadata": {"finalizers": null}}'
    for drain in kube.kubectl("get", "cnd", "-n", name, "-o", "name").stdout.split():
        kube.kubectl("patch", drain, "-n", name, "--type=merge", "-p", gone, check=False)
    kube.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def operator(
    account: Path, namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    log = tmp_path_factory.mktemp("operator") / "operator.log"
    running = Operator(account, log, ("--namespace", namespace)).start()
    yield running
    running.kill()


@pytest.fixture(scope="module")
def stages(
    kube: Kube, cloud: Lab, user: User, policies: Policies, namespace: str, operator: Operator
) -> list[Stage]:
    """After their scenes."""
    cloud.tidy((*HOSTS, DESTINATION))
    where = network(cloud)  # before policies change: while Neutron reads them it may find none
    found = [
        Stage(kube, cloud, user, policies, namespace, host, role, where)
        for host, role in zip(HOSTS, ROLES, strict=True)
    ]
    *several, alone = found
    with ThreadPoolExecutor(len(several)) as pool:
        list(pool.map(Stage.run, several, SCENES))
    others = [stage.host for stage in several if cloud.service(stage.host)]
    for host in others:
        cloud.set_service(host, "disabled")
    alone.run(ALONE)
    for host in others:
        cloud.set_service(host, "enabled")
    assert operator.healthy(), operator.text()[-5000:]
    return found


def wrong(stages: list[Stage], missing: str) -> str:
    """Empty: it was missing, and was named."""
    if any(missing in stage.named for stage in stages):
        return ""
    return "\n".join(["it was not named", *(stage.wrong for stage in stages)])


@pytest.mark.timeout(0)
@pytest.mark.parametrize("rule", RULES)
def test_an_access_rule_that_is_missing_is_named(stages: list[Stage], rule: str) -> None:
    assert not wrong(stages, rule), wrong(stages, rule)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("policy", list(dict.fromkeys(policy for _, policy in grants())))
def test_a_policy_that_is_missing_is_named(stages: list[Stage], policy: str) -> None:
    assert not wrong(stages, policy), wrong(stages, policy)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("number", range(len(HOSTS)), ids=[s.__name__ for s in (*SCENES, ALONE)])
def test_with_all_of_them_it_ends_right(stages: list[Stage], number: int) -> None:
    assert not stages[number].wrong, stages[number].wrong
