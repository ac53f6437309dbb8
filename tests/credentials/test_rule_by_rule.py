"""Without any one access rule, and without any one policy, the status names it.

Once it is there the drain goes on by itself, to its right end. Four drains at once, each on a host
of its own with credentials of its own, and one operator.
"""

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue

import pytest
from tools.access_rules import access_rules

from tests.credentials import scenes
from tests.credentials.scenes import Case, Scene, Stage
from tests.credentials.user import Policies, User, grants
from tests.harness.kubernetes import Kube, Operator
from tests.harness.openstack import Lab

HOSTS = ("cmp1", "cmp2", "cmp3", "cmp4")
ABSENT = ("block-storage", "volumev3", "image")
"""Services of which nothing is asked: the cloud has no Cinder, and its Nova shows the properties of
images itself."""

RULES = [rule for rule in access_rules() if rule["service"] not in ABSENT]
POLICIES = grants()

# What is needed for more than a move, by the end of its path or name.
SCENES: Mapping[str, Scene] = {
    "DELETE /v2.1/os-services/*": scenes.retires,
    "POST /v2.1/os-aggregates/*/action": scenes.returns,
    "GET /v2.1/servers/*/diagnostics": scenes.moves_cold,
    "GET /v2.1/servers/*/migrations": scenes.is_slow,
    "DELETE /v2.1/servers/*/migrations/*": scenes.is_aborted,
    "POST /v2.1/servers/*/migrations/*/action": scenes.is_forced,
    "GET /v2.1/servers/*/os-instance-actions": scenes.fails_once,
    "GET /v2.1/servers/*/os-instance-actions/*": scenes.fails_once,
    "os_compute_api:servers:revert_resize": scenes.is_reverted,
    "os_compute_api:os-suspend-server:resume": scenes.is_resumed,
    "os_compute_api:servers:migrations:index": scenes.is_slow,
    "os_compute_api:servers:migrations:delete": scenes.is_aborted,
    "os_compute_api:servers:migrations:force_complete": scenes.is_forced,
    "os_compute_api:os-instance-actions:list": scenes.fails_once,
    "os_compute_api:os-instance-actions:show": scenes.fails_once,
}


def title(rule: Mapping[str, str]) -> str:
    return f"{rule['method']} {rule['path']}"


def role(number: int) -> str:
    """Of a policy that is missing; the role `quiesce` lacks none."""
    return f"quiesce-{number}"


@pytest.fixture(scope="module")
def policies() -> Policies:
    lacking = {role(number): policy for number, policy in enumerate(POLICIES)}
    found = Policies(("quiesce", *lacking), lacking)
    found.write()
    return found


@pytest.fixture(scope="module")
def user(cloud: Lab, policies: Policies) -> Iterator[User]:
    found = User(cloud, "rule-by-rule", policies.roles)
    found.gone()
    yield found.make()
    found.gone()


@pytest.fixture(scope="module")
def namespace(kube: Kube) -> Iterator[str]:
    name = kube.make_namespace(f"c-{secrets.token_hex(3)}")
    yield name
    kube.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def operator(
    account: Path, namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    log = tmp_path_factory.mktemp("operator") / "operator.log"
    running = Operator(account, log, ("--namespace", namespace)).start()
    yield running
    running.kill()


def cases(user: User, policies: Policies) -> Iterator[Case]:
    for rule in RULES:
        rest = [other for other in access_rules() if other != rule]
        name = title(rule)
        yield Case(
            name,
            ("HTTP 401", json.dumps(rule)),
            SCENES.get(name, scenes.moves),
            user.clouds_yaml("quiesce", rest),
            lambda stage: stage.kube.credentials(
                stage.namespace, user.clouds_yaml("quiesce", access_rules()), stage.secret
            ),
        )
    for number, (_, policy) in enumerate(POLICIES):
        yield Case(
            policy,
            # Nova tells of a whole rule by the first policy that is made of it.
            ("os_compute_api:os-services:list",) if policy == "context_is_admin" else (policy,),
            SCENES.get(policy, scenes.moves),
            user.clouds_yaml(role(number), access_rules()),
            granting(policies, role(number)),
        )


def granting(policies: Policies, wanted: str) -> Callable[[Stage], None]:
    return lambda _: policies.grant(wanted)


@pytest.fixture(scope="module")
def wrong(
    request: pytest.FixtureRequest,
    kube: Kube,
    cloud: Lab,
    user: User,
    policies: Policies,
    namespace: str,
    operator: Operator,
) -> dict[str, str]:
    """What went wrong, by the case. One queue of the selected cases, one worker for each host."""
    cloud.tidy((*HOSTS, scenes.DESTINATION))
    names = "".join(item.name for item in request.session.items)
    waiting: SimpleQueue[tuple[int, Case]] = SimpleQueue()
    for number, case in enumerate(cases(user, policies)):
        if f"[{case.name}]" in names:
            waiting.put((number, case))
    found: dict[str, str] = {}

    def work(host: str) -> None:
        while True:
            try:
                number, case = waiting.get_nowait()
            except Empty:
                return
            stage = Stage(kube, cloud, namespace, host, case, f"lacks-{number}")
            found[case.name] = stage.run()

    with ThreadPoolExecutor(len(HOSTS)) as pool:
        list(pool.map(work, HOSTS))
    assert operator.healthy(), operator.text()[-5000:]
    return found


@pytest.mark.timeout(0)
@pytest.mark.parametrize("rule", [title(rule) for rule in RULES])
def test_an_access_rule_that_is_missing_is_named(wrong: dict[str, str], rule: str) -> None:
    assert not wrong[rule], wrong[rule]


@pytest.mark.timeout(0)
@pytest.mark.parametrize("policy", [policy for _, policy in POLICIES])
def test_a_policy_that_is_missing_is_named(wrong: dict[str, str], policy: str) -> None:
    assert not wrong[policy], wrong[policy]
