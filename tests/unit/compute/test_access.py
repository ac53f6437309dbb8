"""A drain's own way into its host: by a pinned key, or by the one that was seen first and kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.harness.shelf import HOST_LOGIN, Shelf
from tests.unit.keyring.build import NEW, OLD

from quiesce.api.errors import BadHostAccess, ForeignSecret
from quiesce.api.host import HostAccess
from quiesce.compute import access
from quiesce.kube.errors import KubeForbidden
from quiesce.kube.resource import Resource
from quiesce.openstack.records import Hypervisor
from quiesce.ssh.keys import PublicKey
from quiesce.ssh.session import Target

DRAIN = Resource(
    {
        "apiVersion": "v1",
        "kind": "ComputeNodeDrain",
        "metadata": {"namespace": "ns", "name": "d", "uid": "u"},
        "spec": {},
    }
)
LISTED = [Hypervisor("cmp1.example.org", "cmp1", "192.0.2.1")]


class Host:
    """What answers at the host's address, and what was asked of it."""

    def __init__(self, key: PublicKey, shelf: Shelf) -> None:
        self.key, self.shelf, self.asked = key, shelf, 0
        self.logins: list[tuple[Target, tuple[PublicKey, ...]]] = []

    def present(self, target: Target, seconds: float) -> PublicKey:
        self.asked += 1
        return self.key

    @contextmanager
    def connect(
        self, target: Target, login: object, pinned: tuple[PublicKey, ...], *_: Any
    ) -> Iterator[None]:
        if "d-host-key" in self.shelf.held:
            assert self.asked == 1, "kept before anything is sent"
        self.logins.append((target, pinned))
        yield


@pytest.fixture
def shelf() -> Shelf:
    found = Shelf()
    found.put("login", {"ssh-privatekey": OLD.private.encode()}, HOST_LOGIN)
    return found


@pytest.fixture
def host(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Host:
    there = Host(NEW.public, shelf)
    monkeypatch.setattr(access, "presented_key", there.present)
    monkeypatch.setattr(access, "connect", there.connect)
    return there


def log_in(
    shelf: Shelf, listed: list[Hypervisor] = LISTED, *, met: bool = False, **spec: Any
) -> None:
    given = HostAccess.model_validate({"privateKeySecretRef": {"name": "login"}, **spec})
    with access.host_session(shelf, DRAIN, given, listed, "cmp1", met=met):
        pass


def test_the_first_key_is_kept_and_held_to(shelf: Shelf, host: Host) -> None:
    log_in(shelf, trustOnFirstUse=True)
    assert shelf.held["d-host-key"] == {"known_hosts": f"cmp1 {NEW.public.line}\n".encode()}
    host.key = OLD.public  # somebody else answers from now on
    log_in(shelf, trustOnFirstUse=True)
    assert host.logins == [(Target("cmp1", "192.0.2.1"), (NEW.public,))] * 2
    assert host.asked == 1


@pytest.mark.finding("H5")
def test_of_a_host_that_was_met_the_first_key_counts_and_no_other(shelf: Shelf, host: Host) -> None:
    log_in(shelf, trustOnFirstUse=True)
    log_in(shelf, met=True, trustOnFirstUse=True)
    del shelf.held["d-host-key"]
    log_in(shelf, met=True, trustOnFirstUse=True)
    assert [pinned for _, pinned in host.logins] == [(NEW.public,), (NEW.public,), ()]
    assert host.asked == 1


def test_it_holds_when_nova_has_forgotten_the_host(shelf: Shelf, host: Host) -> None:
    log_in(shelf, trustOnFirstUse=True, port=2222)
    log_in(shelf, [], trustOnFirstUse=True, port=2222)
    assert [pinned for _, pinned in host.logins] == [(NEW.public,)] * 2
    assert host.asked == 1


def test_without_leave_no_key_is_trusted(shelf: Shelf, host: Host) -> None:
    log_in(shelf)
    assert host.logins == [(Target("cmp1", "192.0.2.1"), ())]
    assert (host.asked, set(shelf.held)) == (0, {"login"})


def test_a_pinned_key_goes_before_first_use(shelf: Shelf, host: Host) -> None:
    shelf.held["hosts"] = {"known_hosts": f"cmp1 {OLD.public.line}\n".encode()}
    log_in(shelf, trustOnFirstUse=True, knownHostsRef={"kind": "Secret", "name": "hosts"})
    assert host.logins == [(Target("cmp1", "192.0.2.1"), (OLD.public,))]
    assert (host.asked, "d-host-key" in shelf.held) == (0, False)


def test_a_key_that_cannot_be_kept_is_not_trusted(
    shelf: Shelf, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise KubeForbidden("secrets is forbidden")

    monkeypatch.setattr(shelf, "save", refuse)
    with pytest.raises(BadHostAccess, match="knownHostsRef"):
        log_in(shelf, trustOnFirstUse=True)
    assert host.logins == []


@pytest.mark.finding("H1")
def test_a_secret_that_is_not_released_for_logins_is_not_used(shelf: Shelf, host: Host) -> None:
    shelf.put("login", {"ssh-privatekey": OLD.private.encode()})
    with pytest.raises(
        BadHostAccess, match=r"label secret -n ns login quiesce\.dev/host-login=true"
    ):
        log_in(shelf, trustOnFirstUse=True)
    assert host.logins == [] and host.asked == 0


@pytest.mark.finding("M3")
def test_a_foreign_secret_with_the_name_of_ours_is_left_alone(shelf: Shelf, host: Host) -> None:
    shelf.put("d-host-key", {"precious": b"1"})
    with pytest.raises(ForeignSecret, match="Secret ns/d-host-key was not made for"):
        log_in(shelf, trustOnFirstUse=True)
    assert shelf.held["d-host-key"] == {"precious": b"1"}
    assert host.logins == []
