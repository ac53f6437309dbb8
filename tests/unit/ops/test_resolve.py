"""A name that nobody resolves holds nobody longer than it may."""

import socket
import threading
from collections.abc import Iterator

import pytest

from quiesce.api.errors import CloudUnreachable
from quiesce.kube.secrets import Secret
from quiesce.openstack.session import Clouds
from quiesce.ops.resolve import resolve
from quiesce.ssh import session
from quiesce.ssh.errors import TimedOut
from quiesce.ssh.session import Target, presented_key


@pytest.fixture
def silent_name_servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Until the test ends."""
    over = threading.Event()

    def wait(*_: object, **__: object) -> None:
        over.wait()
        raise socket.gaierror("Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", wait)
    yield
    over.set()


def test_an_address_is_one_and_a_name_that_is_none_is_told() -> None:
    assert resolve("127.0.0.1", 80, 10.0)[0][4] == ("127.0.0.1", 80)
    with pytest.raises(socket.gaierror):
        resolve("no.such.name.invalid", 80, 10.0)
    with pytest.raises(UnicodeError):
        resolve("a" * 70 + ".example.org", 80, 10.0)


@pytest.mark.finding("H4")
@pytest.mark.promise("never-11")
@pytest.mark.timeout(60)
def test_a_request_to_a_name_that_is_not_resolved_ends(silent_name_servers: None) -> None:
    text = (
        "clouds: {openstack: {auth: {auth_url: 'http://cloud.example.org/v3', username: u, "
        "password: p}}}"
    )
    with pytest.raises(CloudUnreachable, match="timed out"):
        Clouds(0.2).get(Secret("ns", "clouds", "1", {"clouds.yaml": text.encode()}), "openstack")


@pytest.mark.finding("H4")
@pytest.mark.promise("never-11")
@pytest.mark.timeout(60)
def test_a_visit_to_a_name_that_is_not_resolved_ends(
    silent_name_servers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_CONNECT_SECONDS", 0.2)
    with pytest.raises(TimedOut):
        presented_key(Target("cmp1", "cmp1.example.org"), 10.0)
