"""Every command of OpenStack's client that people are told to run does what they are told it does.

The released client, and osc-placement beside it, against a real Nova; as a person who copies the
command and fills in its blanks.
"""

import os
import secrets
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from tests.beds.cloud.cloudbed.settings import find_paths
from tests.docs.openstack_commands import BLANK
from tests.harness.openstack import Json, Lab, bed_environment, until

HOST, OTHER = "cmp1", "cmp2"
NOT_RUN = {  # and why
    "openstack acl user add": "of the client of Barbican, which the bed does not have",
}
NAMES = {  # of commands, without what they are about
    "openstack aggregate add host",
    "openstack compute service set --down",
    "openstack compute service set --up",
    "openstack server show",
}


@dataclass
class Person:
    """An administrator with a shell."""

    cloud: Lab
    environment: Mapping[str, str]
    name: str = field(default_factory=lambda: f"told-{secrets.token_hex(3)}")

    def run(self, command: str, *blanks: str) -> str:
        """What it prints. Raises AssertionError where it fails."""
        assert command.split().count(BLANK) == len(blanks), command
        filled = iter(blanks)
        words = [next(filled) if word == BLANK else word for word in command.split()]
        done = subprocess.run(
            words,
            env=self.environment,
            input="y\n",  # the client asks where a state is set; without a terminal it reads this
            start_new_session=True,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"$ {' '.join(words)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def server(self, state: str = "ACTIVE") -> str:
        return self.cloud.boot(HOST, [self.name], state)[0]

    def has(self, server_id: str) -> Json | None:
        return self.cloud.server(server_id)


Scene = Callable[[Person, str], None]


def brings(before: str, after: str) -> Scene:
    """A server from one status to another."""

    def scene(person: Person, command: str) -> None:
        server = person.server(before)
        person.run(command, server)
        person.cloud.wait_status(server, after)

    return scene


def diagnoses(person: Person, command: str) -> None:
    assert "running" in person.run(command, person.server())


def lists(wanted: Callable[[Person], str] = lambda _: "") -> Scene:
    """`wanted`: what has to be in it."""

    def scene(person: Person, command: str) -> None:
        assert wanted(person) in person.run(command)

    return scene


def reboots(person: Person, command: str) -> None:
    server = person.server("ERROR")
    person.run(command, server)
    person.cloud.wait_status(server, "ACTIVE")
    assert "reboot" in person.cloud.actions(server)


def unlocks(person: Person, command: str) -> None:
    server = person.server()
    person.cloud.admin.action(server, "lock")
    person.run(command, server)
    assert (person.has(server) or {})["locked"] is False


def ends_a_resize(person: Person, command: str, *, stays: bool) -> None:
    server = person.server()
    person.cloud.admin.action(server, "migrate")
    person.cloud.wait_status(server, "VERIFY_RESIZE")
    person.run(command, server)
    person.cloud.wait_status(server, "ACTIVE")
    assert (person.cloud.host_of(server) == HOST) is stays


def resizes(person: Person, command: str) -> None:
    server = person.server()
    person.run(command, "small", server)
    person.cloud.wait_status(server, "VERIFY_RESIZE")


def deletes(person: Person, command: str, *, soft_deleted: bool = False) -> None:
    server = person.server()
    if soft_deleted:
        person.cloud.soft_delete(server)
    person.run(command, server)
    until("it is gone", lambda: person.has(server) is None)


def restores(person: Person, command: str) -> None:
    server = person.server()
    person.cloud.soft_delete(server)
    person.run(command, server)
    person.cloud.wait_status(server, "ACTIVE")


def evacuates(person: Person, command: str) -> None:
    server = person.server()
    person.cloud.kill_compute(HOST)
    until("its host is down", lambda: (person.cloud.service(HOST) or {})["state"] == "down")
    person.run(command, server)
    person.cloud.wait_status(server, "SHUTOFF")  # from 2.95 on, which this client asks for
    assert person.cloud.host_of(server) != HOST


def ends_a_live_migration(person: Person, command: str, *, stays: bool) -> None:
    server = person.server()
    person.cloud.fault(f"server:{person.name}", live_migration="hang")
    live = {"host": None, "block_migration": "auto"}
    person.cloud.admin.action(server, "os-migrateLive", live)

    def running() -> list[Json]:
        return [m for m in person.cloud.migrations(HOST)
                if m["instance_uuid"] == server and m["status"] == "running"]  # fmt: skip

    (migration,) = until("it runs", running)
    person.run(command, server, str(migration["id"]))
    until("it has ended", lambda: not running())
    if not stays:
        person.cloud.wait_status(server, "ACTIVE")
    assert (person.cloud.host_of(server) == HOST) is stays


def shows_migrations(person: Person, command: str) -> None:
    server = person.server()
    person.cloud.admin.action(server, "migrate")
    person.cloud.wait_status(server, "VERIFY_RESIZE")
    about = server if "--server" in command else HOST
    assert server in person.run(command, about)


def sets_up(person: Person, command: str) -> None:
    service = person.cloud.service(HOST)
    assert service is not None
    forced, body = {"forced_down": True}, f"/os-services/{service['id']}"
    assert person.cloud.admin.ask("PUT", body, forced)[0] == 200
    person.run(command, HOST)
    until("it is up", lambda: (person.cloud.service(HOST) or {})["state"] == "up")
    assert (person.cloud.service(HOST) or {})["forced_down"] is False


def enables(person: Person, command: str) -> None:
    person.cloud.set_service(HOST, "disabled", "quiesce: drain a/b [12345678]")
    person.run(command, HOST)
    assert (person.cloud.service(HOST) or {})["status"] == "enabled"


def adds_to_an_aggregate(person: Person, command: str) -> None:
    aggregate = person.cloud.aggregate(person.name)
    person.run(command, person.name, HOST)
    assert person.cloud.aggregate_hosts(aggregate) == [HOST]


def binds_a_port(person: Person, command: str) -> None:
    network = person.cloud.admin.connection.network
    (lab,) = network.networks(name="lab-net")
    port = network.create_port(network_id=lab.id, name=person.name)
    try:
        person.run(command, HOST, port.id)
        assert network.get_port(port.id).binding_host_id == HOST
    finally:
        network.delete_port(port)


def shows_allocations(person: Person, command: str) -> None:
    server, provider = person.server(), person.cloud.provider(HOST)
    assert provider is not None
    assert provider["uuid"] in person.run(command, server)


def unsets_allocations(person: Person, command: str) -> None:
    """Of one provider. The operator names each of several this way."""
    server, provider = person.server(), person.cloud.provider(HOST)
    assert provider is not None
    other = person.cloud.provider(OTHER)
    assert other is not None
    path, placement = f"/allocations/{server}", "placement"
    held = person.cloud.admin.get(path, service=placement)
    held["allocations"][other["uuid"]] = {"resources": {"VCPU": 1}}
    assert person.cloud.admin.ask("PUT", path, held, service=placement)[0] == 204
    head, _, tail = command.partition(" unset ")
    version = tail[tail.index("--os-placement") :]
    told = f"{head} unset --provider {provider['uuid']} {BLANK} {version}"
    person.run(told, server)
    assert list(person.cloud.allocations(server)) == [other["uuid"]]


def deletes_a_provider(person: Person, command: str) -> None:
    body = {"name": person.name}
    status, made = person.cloud.admin.ask("POST", "/resource_providers", body, service="placement")
    assert status == 200, made
    person.run(command, made["uuid"])
    assert person.cloud.provider(person.name) is None


def deletes_a_credential(person: Person, command: str) -> None:
    """Each user his own."""
    name = command.rpartition(" ")[2]
    person.run(f"openstack application credential create {name}")
    person.run(command)
    assert name not in person.run("openstack application credential list")


SCENES: Mapping[str, Scene] = {
    "openstack server start _": brings("SHUTOFF", "ACTIVE"),
    "openstack server stop _": brings("ACTIVE", "SHUTOFF"),
    "openstack server resume _": brings("SUSPENDED", "ACTIVE"),
    "openstack server unpause _": brings("PAUSED", "ACTIVE"),
    "openstack server unrescue _": brings("RESCUE", "ACTIVE"),
    "openstack server set --state active _": brings("ERROR", "ACTIVE"),
    "openstack server set --state error _": brings("ACTIVE", "ERROR"),
    "openstack server shelve --offload _": brings("ACTIVE", "SHELVED_OFFLOADED"),
    "openstack server unshelve _": brings("SHELVED", "ACTIVE"),
    "openstack server migrate _": brings("ACTIVE", "VERIFY_RESIZE"),
    "openstack server reboot --hard _": reboots,
    "openstack server unlock _": unlocks,
    "openstack server migration confirm _": partial(ends_a_resize, stays=False),
    "openstack server migration revert _": partial(ends_a_resize, stays=True),
    "openstack server resize --flavor _ _": resizes,
    "openstack server delete _": deletes,
    "openstack server delete --force _": partial(deletes, soft_deleted=True),
    "openstack server restore _": restores,
    "openstack server evacuate _": evacuates,
    "openstack server migration abort _ _": partial(ends_a_live_migration, stays=True),
    "openstack server migration force complete _ _": partial(ends_a_live_migration, stays=False),
    "openstack server migration list --host _": shows_migrations,
    "openstack server migration list --server _": shows_migrations,
    "openstack server show --diagnostics _": diagnoses,
    "openstack server list": lists(lambda person: person.server()),
    "openstack catalog list": lists(lambda _: "placement"),
    "openstack compute service list": lists(lambda _: HOST),
    "openstack compute service list --service nova-compute": lists(lambda _: HOST),
    "openstack compute service set --enable _ nova-compute": enables,
    "openstack compute service set --up _ nova-compute": sets_up,
    "openstack hypervisor list --long": lists(lambda _: HOST),
    "openstack image list --status saving": lists(),
    "openstack aggregate add host _ _": adds_to_an_aggregate,
    "openstack port set --host _ _": binds_a_port,
    "openstack resource provider allocation show _ --os-placement-api-version 1.28": (
        shows_allocations
    ),
    "openstack resource provider allocation unset _ _ --os-placement-api-version 1.28": (
        unsets_allocations
    ),
    "openstack resource provider allocation unset --provider _ _ --os-placement-api-version 1.28": (
        unsets_allocations
    ),
    "openstack resource provider delete _": deletes_a_provider,
    "openstack application credential delete quiesce-2": deletes_a_credential,
}


@pytest.fixture(scope="module")
def environment() -> Mapping[str, str]:
    """The client of the bed, as an administrator."""
    client = Path(find_paths(os.environ).bin("openstack")).parent
    return {
        "PATH": f"{client}:{os.environ['PATH']}",
        "HOME": os.environ["HOME"],
        "OS_CLIENT_CONFIG_FILE": bed_environment()["OS_CLIENT_CONFIG_FILE"],
        "OS_CLOUD": "lab",
    }


@pytest.fixture
def person(cloud: Lab, tidy_end: None, environment: Mapping[str, str]) -> Iterator[Person]:
    cloud.tidy((HOST, OTHER))
    yield Person(cloud, environment)
    cloud.tidy((HOST, OTHER))


@pytest.mark.parametrize("command", SCENES)
def test_a_command_does_what_people_are_told_it_does(person: Person, command: str) -> None:
    SCENES[command](person, command)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_command_that_is_named_is_there(person: Person, name: str) -> None:
    *words, last = name.split()
    option = last if last.startswith("--") else ""
    about = words[1:] if option else [*words[1:], last]
    assert option in person.run("openstack help " + " ".join(about))
