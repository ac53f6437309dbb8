"""From a Secret to a session: what is wrong with it is said, where it is, and no secret with it."""

import threading
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from keystoneauth1.exceptions import Unauthorized

from quiesce.api.errors import BadCredentials, CloudUnreachable
from quiesce.openstack.budget import budget
from quiesce.openstack.session import Clouds, OneEntry, cloud_entry

GOOD = b"""
clouds:
  openstack:
    auth: {auth_url: https://keystone.example.org/v3, username: quiesce, password: hunter2}
    region_name: RegionOne
"""


@dataclass
class Secret:
    data: dict[str, bytes] = field(default_factory=dict)
    namespace: str = "ns"
    name: str = "openstack-clouds"
    version: str = "1"


def said(**data: str) -> str:
    with pytest.raises(BadCredentials) as found:
        cloud_entry(
            Secret({name.replace("_", "."): text.encode() for name, text in data.items()}),
            "openstack",
        )
    return str(found.value)


@pytest.mark.promise("never-10")
@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "clouds:\n  openstack:\n    auth: {password: hunter2\n",
            "clouds.yaml is not valid YAML at line 4",
        ),
        ("a: b: hunter2", "clouds.yaml is not valid YAML at line 1"),
        ("hunter2", "clouds.yaml has no cloud named 'openstack'"),
        ("", "clouds.yaml has no cloud named 'openstack'"),
        ("- hunter2", "clouds.yaml has no cloud named 'openstack'"),
        ("clouds: hunter2", "clouds.yaml has no cloud named 'openstack'"),
        ("clouds: {openstack: {password: hunter2}}", "the cloud has no `auth` section"),
        ("clouds: {openstack: {auth: hunter2}}", "the cloud has no `auth` section"),
        ("clouds: {openstack: hunter2}", "has no cloud named 'openstack'"),
    ],
)
def test_a_malformed_secret_says_what_is_wrong_and_shows_no_secret(text: str, why: str) -> None:
    found = said(clouds_yaml=text)
    assert found.startswith("Secret ns/openstack-clouds")
    assert why in found
    assert "hunter2" not in found


@pytest.mark.finding("L1")
def test_neither_keys_of_a_secret_nor_other_clouds_are_named() -> None:
    assert "secret-key" not in said(**{"secret-key": "x", "cacert": "y"})
    assert "add it, with a cloud named 'openstack'" in said(cacert="y")
    assert "lab" not in said(clouds_yaml="clouds: {lab: {auth: {password: hunter2}}, alpha: {}}")


def test_bytes_that_are_no_text_are_a_malformed_secret() -> None:
    with pytest.raises(BadCredentials, match="not valid YAML"):
        cloud_entry(Secret({"clouds.yaml": b"\xff\xfe\x00clouds"}), "openstack")


@pytest.mark.parametrize(
    ("certificates", "why"),
    [
        (b"", "holds no certificate"),
        (b"/etc/ssl/ca.pem", "holds no certificate"),
        (b"\xff\x00", "holds no certificate"),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
            "holds no certificate",
        ),
        (b"x" * 600_000, "is larger than 512 KiB"),
    ],
)
@pytest.mark.finding("M8")
def test_what_is_no_certificate_is_told_before_a_request(certificates: bytes, why: str) -> None:
    secret = Secret({"clouds.yaml": GOOD, "cacert": certificates})
    with pytest.raises(BadCredentials, match=why) as found:
        Clouds().get(secret, "openstack")
    assert str(found.value).startswith("Secret ns/openstack-clouds: the key cacert")


def test_a_thread_that_would_wait_for_itself_is_refused() -> None:
    lock = OneEntry()
    with lock, pytest.raises(Unauthorized), lock:
        pass
    with lock:  # free again
        pass


@pytest.mark.finding("H4")
def test_a_login_of_another_thread_is_shared_and_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clouds, secret = Clouds(), Secret({"clouds.yaml": GOOD})
    begun, ends, logins = threading.Event(), threading.Event(), list[str]()

    def connect(_secret: object, name: str) -> SimpleNamespace:
        logins.append(name)
        begun.set()
        assert ends.wait(60)
        return SimpleNamespace(broken=False)

    monkeypatch.setattr(clouds, "_connect", connect)
    thread = threading.Thread(target=lambda: clouds.get(secret, "openstack"), daemon=True)
    thread.start()
    assert begun.wait(60)
    where = "Secret ns/openstack-clouds, cloud 'openstack': Keystone has not answered yet"
    with budget(0.01), pytest.raises(CloudUnreachable, match=where):
        clouds.get(secret, "openstack")
    ends.set()
    thread.join(60)
    clouds.get(secret, "openstack")
    assert logins == ["openstack"]


@pytest.mark.finding("H4")
def test_a_token_that_another_thread_waits_for_is_not_waited_for_without_end() -> None:
    lock, held, free = OneEntry(), threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            free.wait(60)

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    held.wait(60)
    with budget(0.01), pytest.raises(CloudUnreachable), lock:
        pass
    free.set()
    thread.join(60)
