"""docs/credentials.md is done as written, and with each of its two credentials a host is retired.

Servers of other projects, with ports; one is off, one is shelved, one is locked. The host is
deleted, comes back, and is restored with its aggregate. What the page says the role may not do is
rejected.
"""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.beds.cloud.cloudbed.settings import find_paths
from tests.credentials.scenes import network
from tests.credentials.user import Policies, clouds_yaml, no_policies, remove
from tests.docs.commands import ROOT
from tests.harness.kubernetes import Drain, Kube, Operator
from tests.harness.mixed import METHOD, offloaded
from tests.harness.openstack import Lab, Person, bed_environment
from tests.harness.promises import COLD, LIVE, moved, nothing_left

PAGE = ROOT / "docs" / "credentials.md"
USER, ROLE = "quiesce-operator", "quiesce"
HOSTS = ("cmp1", "cmp2")
_ROW = re.compile(r"^\| (ID|Secret|Name) +\| (\S+) +\|$", re.MULTILINE)


def blocks(section: str) -> str:
    """The commands of one section of the page."""
    text = PAGE.read_text().partition(f"\n## {section}")[2].partition("\n## ")[0]
    found = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found
    return "".join(found)


def run(script: str) -> dict[str, str]:
    """Of the credential that the commands create last: its id and secret."""
    bed = bed_environment()
    client = Path(find_paths(os.environ).bin("openstack")).parent
    environment = {
        "PATH": f"{client}:{os.environ['PATH']}",
        "HOME": os.environ["HOME"],
        "OS_CLIENT_CONFIG_FILE": bed["OS_CLIENT_CONFIG_FILE"],
        "OS_CLOUD": "lab",
    }
    done = subprocess.run(
        ["bash", "-eu", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return {field.lower(): value for field, value in _ROW.findall(done.stdout)}


@pytest.fixture(scope="module")
def page(cloud: Lab) -> Iterator[None]:
    """Undoes what the page does."""
    forget(cloud)
    yield
    forget(cloud)
    no_policies()


def forget(cloud: Lab) -> None:
    for kind, name in (("user", USER), ("project", USER), ("role", ROLE)):
        remove(cloud, kind, name)


@pytest.fixture
def empty(cloud: Lab) -> Lab:
    cloud.tidy(HOSTS)
    return cloud


def secret_of(cloud: Lab, made: Mapping[str, str]) -> str:
    return clouds_yaml(cloud.entries["lab"]["auth"]["auth_url"], made["id"], made["secret"])


@pytest.mark.usefixtures("page")
def test_with_the_access_rules_a_host_is_retired_and_returns(
    kube: Kube, empty: Lab, operator: Operator, namespace: str
) -> None:
    made = run(blocks("1. Access rules").partition("openstack user set")[0])
    assert made["name"] == "quiesce-1"
    retire(kube, empty, operator, namespace, secret_of(empty, made))


@pytest.mark.usefixtures("page")
def test_with_the_role_as_well_a_host_is_retired_and_returns(
    kube: Kube, empty: Lab, operator: Operator, namespace: str
) -> None:
    Policies((ROLE,)).write()
    rotated = blocks("1. Access rules").partition("openstack user set")
    made = run("PASSWORD=$(openssl rand -hex 32)\n" + "".join(rotated[1:]) + blocks("2. A role"))
    assert made["name"] == "quiesce-2"
    document = secret_of(empty, made)
    retire(kube, empty, operator, namespace, document)
    may_do_no_more(empty, Person(yaml.safe_load(document)["clouds"]["openstack"]))


def retire(kube: Kube, cloud: Lab, operator: Operator, namespace: str, document: str) -> None:
    """Servers in several states, of a project that is not the operator's; there and back again."""
    host, ports = HOSTS[0], [{"uuid": network(cloud)}]
    aggregate = cloud.aggregate("rack-1", host)
    on, locked, off, shelved = cloud.boot(host, ["on", "locked", "off", "shelved"], networks=ports)
    cloud.bring([off], "SHUTOFF")
    cloud.bring([shelved], "SHELVED")
    cloud.admin.action(locked, "lock")
    kube.credentials(namespace, document)

    drain = Drain.apply(kube, namespace, host, METHOD)
    drain.wait("Drained", 900)
    cloud.kill_compute(host)
    drain.wait("Ready", 900)
    nothing_left(cloud, host)
    assert drain.status["problems"] == []
    moved(cloud, on, host, "ACTIVE", LIVE)
    moved(cloud, locked, host, "ACTIVE", LIVE, ("create", "lock"))
    moved(cloud, off, host, "SHUTOFF", COLD, ("create", "stop"))
    offloaded(cloud, shelved)

    cloud.start_compute(host)
    drain.delete(900)
    service = cloud.service(host)
    assert service
    assert (service["status"], service["disabled_reason"]) == ("enabled", None)
    assert cloud.aggregate_hosts(aggregate) == [host]
    assert operator.healthy()


def may_do_no_more(cloud: Lab, person: Person) -> None:
    """All other actions of a server are rejected by policy, all other requests by access rules."""
    (server,) = cloud.boot(HOSTS[1], ["other"])
    for action, argument in OTHER_ACTIONS.items():
        status, answer = person.ask("POST", f"/servers/{server}/action", {action: argument})
        assert status == 403, (action, status, answer)
    aggregate = cloud.admin.get("/os-aggregates")["aggregates"][0]["id"]
    for argument in ({"remove_host": {"host": HOSTS[0]}}, {"set_metadata": {"metadata": {}}}):
        status, answer = person.ask("POST", f"/os-aggregates/{aggregate}/action", argument)
        assert status == 403, (argument, answer)
    for method, path, body in OTHER_REQUESTS:
        status, answer = person.ask(method, path.format(server=server), body)
        assert status == 401, (method, path, answer)
    assert cloud.actions(server) == ["create"]


OTHER_ACTIONS: Mapping[str, object] = {
    "os-stop": None,
    "os-start": None,
    "reboot": {"type": "HARD"},
    "pause": None,
    "unpause": None,
    "suspend": None,
    "shelve": None,
    "unshelve": None,
    "rescue": {},
    "unrescue": None,
    "lock": None,
    "unlock": None,
    "resize": {"flavorRef": "1"},
    "rebuild": {"imageRef": "00000000-0000-4000-8000-000000000000"},
    "evacuate": {},
    "forceDelete": None,
    "restore": None,
    "os-resetState": {"state": "error"},
    "injectNetworkInfo": None,
    "changePassword": {"adminPass": "x"},
    "createBackup": {"name": "x", "backup_type": "daily", "rotation": 1},
    "createImage": {"name": "x"},
    "os-getConsoleOutput": {},
    "trigger_crash_dump": None,
    "addSecurityGroup": {"name": "default"},
    "removeSecurityGroup": {"name": "default"},
}
"""Of Nova 34: of those that the microversion of the client knows (nova/policies)."""

OTHER_REQUESTS: tuple[tuple[str, str, Any], ...] = (
    ("DELETE", "/servers/{server}", None),
    ("PUT", "/servers/{server}", {"server": {"name": "x"}}),
    ("POST", "/servers", {}),
    ("GET", "/servers/{server}/os-interface", None),
    ("POST", "/servers/{server}/remote-consoles", {}),
    ("GET", "/flavors", None),
    ("GET", "/os-keypairs?user_id=1", None),
    ("POST", "/os-aggregates", {}),
)
