"""Tenants who mean harm, as a process of its own: what their clouds and hosts do.

`with neighbours() as found` serves them on loopback; each of `found` is what its tenant would put
into the cluster: the clouds.yaml of a Secret, and, for a keyring, the port of its only host's sshd.
"""

import multiprocessing
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

import yaml

from tests.security import hostile_cloud, hostile_host
from tests.security.endless import ENDLESS
from tests.security.hostile_cloud import HostileCloud, Reply, answer

TOKENS, SERVICES = "/v3/auth/tokens", "/v2.1/os-services"
HYPERVISORS = "/v2.1/os-hypervisors/detail"
ROW = {
    "id": "3f8e1c52-1d0c-4f0e-8a59-5a3f2c1f9e11",
    "host": "compute-1",
    "binary": "nova-compute",
    "status": "enabled",
    "state": "up",
    "zone": "nova",
    "disabled_reason": None,
    "forced_down": False,
    "updated_at": "2026-01-01T00:00:00.000000",
}
ONE_HOST: Mapping[str, Reply] = {
    SERVICES: answer({"services": [ROW]}),
    HYPERVISORS: answer(
        {
            "hypervisors": [
                {
                    "hypervisor_hostname": "compute-1",
                    "service": {"host": "compute-1", "id": ROW["id"]},
                    "host_ip": "127.0.0.1",
                    "hypervisor_type": "QEMU",
                }
            ]
        }
    ),
}
CLOUDS: Mapping[str, Mapping[str, Reply]] = {
    "says nothing": {TOKENS: hostile_cloud.says_nothing},
    "floods a token": {TOKENS: hostile_cloud.floods_its_body},
    "drips": {SERVICES: hostile_cloud.drips_its_body},
    "goes on": {SERVICES: hostile_cloud.goes_on},
    "nests": {SERVICES: answer(b"[" * 10_000_000)},
    "leads away": {SERVICES: hostile_cloud.redirects("http://127.0.0.1:1/v2.1/os-services")},
    "asks to wait": {SERVICES: answer({}, 503, "Retry-After: 999999999")},
    "shouts": {SERVICES: answer({"forbidden": {"message": "\x1b[2J" + "x-" * 400_000}}, 403)},
}
ENTRIES: Mapping[str, Mapping[str, object]] = {
    "ends the process": {"vendor_hook": "sys:exit"},
    "is a template": {"region_name": "{region_name:>900000000}"},
}
HOSTS: Mapping[str, hostile_host.Raw] = {
    name: hostile_host.ssh_server(command)
    for name, command in (*hostile_host.AFTER_LOGIN.items(), *hostile_host.LIES.items())
} | {
    name: hostile_host.BEFORE_LOGIN[name]
    for name in ("a line without end", "a packet of 1 GiB", "nothing at all")
}


@dataclass(frozen=True)
class Neighbour:
    """`port`: of the sshd of a keyring's host; None: a drain."""

    what: str
    clouds_yaml: str
    port: int | None = None


@contextmanager
def neighbours(password: str) -> Iterator[list[Neighbour]]:
    """All of them, in a process of their own: what they do takes no time of the test's.

    `password`: which their credentials contain.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, password), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        process.kill()
        process.join()


def _serve(pipe: Connection, password: str) -> None:
    with ExitStack() as stack:
        found = []
        for what, replies in CLOUDS.items():
            there = stack.enter_context(HostileCloud(replies))
            found.append(Neighbour(what, _credentials(there, password)))
        for what, endless in ENDLESS.items():
            replies = {path: make() for path, make in endless.items()}
            there = stack.enter_context(HostileCloud(replies))
            found.append(Neighbour(f"lists {what}", _credentials(there, password)))
        for what, entry in ENTRIES.items():
            there = stack.enter_context(HostileCloud())
            found.append(Neighbour(what, _credentials(there, password, **entry)))
        for what, raw in HOSTS.items():
            there = stack.enter_context(HostileCloud(ONE_HOST))
            port = stack.enter_context(hostile_host.listening(raw))
            found.append(Neighbour(what, _credentials(there, password), port))
        pipe.send(found)
        pipe.recv()  # until the process is ended


def _credentials(there: HostileCloud, password: str, **entry: object) -> str:
    auth = {"auth_url": f"{there.base}/v3", "username": "quiesce", "password": password}
    return yaml.safe_dump({"clouds": {"openstack": {"auth": auth, **entry}}})
