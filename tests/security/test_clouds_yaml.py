"""A clouds.yaml that a tenant wrote: what is not on the list is refused, and named."""

import json
import time
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from quiesce.api.errors import BadCredentials
from quiesce.openstack.addresses import address_fault
from quiesce.openstack.clouds_yaml import CloudEntry, Method, Unusable, read_cloud
from quiesce.openstack.session import Clouds
from tests.security.fuzz import FUZZ, json_values, texts
from tests.security.hostile_cloud import HostileCloud

AUTH = {"auth_url": "https://keystone.example.org/v3", "username": "quiesce", "password": "hunter2"}


def written(entry: Any, auth: Any = AUTH) -> bytes:
    return yaml.safe_dump({"clouds": {"openstack": {"auth": auth} | entry}}).encode()


def read(entry: Any, auth: Any = AUTH) -> CloudEntry:
    return read_cloud(written(entry, auth), "openstack")


def refusal(text: bytes) -> str:
    with pytest.raises(Unusable) as found:
        read_cloud(text, "openstack")
    told = str(found.value)
    assert told.isprintable() and len(told) < 300
    assert "hunter2" not in told
    return told


def said(text: bytes) -> str | None:
    """The refusal of a file; None: it was read."""
    try:
        read_cloud(text, "openstack")
    except Unusable as error:
        return str(error)
    return None


# What may be in it


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ({}, {}),
        ({"region_name": "RegionOne"}, {"region": "RegionOne"}),
        ({"interface": "internal"}, {"interface": "internal"}),
        ({"interface": "adminURL"}, {"interface": "admin"}),
        ({"endpoint_type": "internalURL"}, {"interface": "internal"}),
        ({"verify": False}, {"verify": False}),
        ({"verify": "no"}, {"verify": False}),
        ({"verify": True}, {"verify": True}),
        ({"api_timeout": 5}, {"timeout": 5.0}),
        ({"api_timeout": 86400}, {"timeout": 30.0}),
        ({"identity_api_version": 3, "volume_api_version": 3, "dns_api_version": "2"}, {}),
        ({"compute_api_version": 2.1, "image-api-version": 2}, {}),
        ({"region_name": None, "cacert": None}, {}),
        (
            {"volumev3_endpoint_override": "http://cinder:8776/v3"},
            {"overrides": {"block_storage": "http://cinder:8776/v3"}},
        ),
        ({"dns_endpoint_override": "http://designate:9001"}, {}),
    ],
)
def test_what_other_clients_use_is_used(entry: Any, found: dict[str, Any]) -> None:
    entry_read = read(entry)
    assert {name: getattr(entry_read, name) for name in found} == found


@pytest.mark.parametrize(
    ("auth_type", "auth", "method"),
    [
        (None, {"username": "u", "password": "p"}, Method.PASSWORD),
        ("password", {"user_id": "1", "password": "p", "project_id": "2"}, Method.PASSWORD),
        ("v3password", {"username": "u", "password": "p", "system_scope": "all"}, Method.PASSWORD),
        ("token", {"token": "t", "project_name": "p"}, Method.TOKEN),
        ("v3token", {"token": "t"}, Method.TOKEN),
        (
            "v3applicationcredential",
            {"application_credential_id": "1", "application_credential_secret": "s"},
            Method.APPLICATION_CREDENTIAL,
        ),
    ],
)
def test_each_way_of_logging_in(auth_type: str | None, auth: Any, method: Method) -> None:
    found = read({"auth_type": auth_type}, {"auth_url": AUTH["auth_url"], **auth})
    assert (found.method, dict(found.auth)) == (method, auth)
    assert "hunter2" not in repr(found) and "'p'" not in repr(found)


@pytest.mark.parametrize(
    "password",
    ["{region_name:>900000000}", "{0.__class__}", "%(x)1000000000s", "$HOME", "0123", "1e3", "yes",
     "null", "~", "ü€", "a b", "*x", "&x", "!x", "<<", "\t", "'", '"', "123"],
)  # fmt: skip
@pytest.mark.finding("C1", "S6")
def test_a_password_is_what_is_written(password: str) -> None:
    assert read({}, AUTH | {"password": password}).auth["password"] == password


def test_a_number_is_a_text_as_it_is_written() -> None:
    text = b"clouds: {openstack: {auth: {auth_url: 'http://k', username: 1_0, password: 0123}}}"
    assert read_cloud(text, "openstack").auth == {"username": "1_0", "password": "0123"}


@pytest.mark.parametrize(
    ("auth", "found"),
    [
        ({"default_domain_id": "d", "project_name": "p"},
         {"user_domain_id": "d", "project_domain_id": "d", "project_name": "p"}),
        ({"domain_name": "d", "project_name": "p"},
         {"user_domain_name": "d", "project_domain_name": "d", "project_name": "p"}),
        ({"domain_id": "d"}, {"domain_id": "d"}),
        ({"tenant_name": "p", "user_domain_id": "d", "default_domain_id": "x"},
         {"project_name": "p", "user_domain_id": "d", "project_domain_id": "x"}),
        ({"project-name": "p"}, {"project_name": "p"}),
    ],
)  # fmt: skip
def test_domains_and_older_names(auth: Any, found: Any) -> None:
    own = {"username": "quiesce", "password": "hunter2"}
    assert read({}, AUTH | auth).auth == own | found


# What may not


@pytest.mark.finding("C1")
@pytest.mark.parametrize(
    "key",
    ["profile", "vendor_hook", "regions", "cert", "key", "cloud", "argparse", "validate",
     "networks", "log", "cache", "image_format", "metrics", "statsd", "influxdb", "rate_limit",
     "disable_vendor_agent", "app_name", "user_agent", "session_constructor", "session", "config",
     "compute_region_name", "compute_service_type", "compute_connect_retries", "__class__", "self"],
)  # fmt: skip
def test_every_other_key_is_refused_by_name(key: str) -> None:
    for value in ("http://attacker.example/", "sys:exit", {"a": "b"}, ["hunter2"]):
        told = refusal(written({key: value}))
        assert repr(key) in told and "remove it" in told
        assert "attacker" not in told


@pytest.mark.finding("C1")
def test_a_hook_and_a_profile_are_never_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    with HostileCloud() as there:
        for entry in ({"vendor_hook": "sys:exit"}, {"profile": there.base}, {"cloud": "x"}):
            with pytest.raises(BadCredentials):
                Clouds(1).get(there.secret(**entry), "openstack")
        assert there.requests == []


@pytest.mark.finding("C1")
@pytest.mark.parametrize(
    "kind",
    ["v3oidcdeviceauthz", "v3websso", "v3oidcpassword", "v3kerberos", "v3multifactor", "v3totp",
     "v3tokenlessauth", "v3samlpassword", "v2password", "admin_token", "http_basic", "none",
     "os:system", "\x1b[2J", "x" * 999],
)  # fmt: skip
def test_every_other_way_of_logging_in_is_refused(kind: str) -> None:
    assert "is not supported: use password" in refusal(written({"auth_type": kind}))


@pytest.mark.finding("C1")
@pytest.mark.parametrize(
    ("auth", "why"),
    [
        ({"auth_url": None}, "auth.auth_url is missing"),
        ({"password": None}, "auth.password is missing"),
        ({"username": ""}, "auth.username is missing"),
        (
            {"identity_provider": "x"},
            "auth.'identity_provider' is not used with auth_type password",
        ),
        ({"token": "x"}, "auth.'token' is not used"),
        ({"passcode": "x"}, "auth.'passcode' is not used"),
        ({"password": {"a": "hunter2"}}, "auth.password is not a text"),
        ({"password": ["hunter2"]}, "auth.password is not a text"),
        ({"password": "x" * 9999}, "auth.password is longer than 8192 characters"),
        ({"auth_url": "file:///etc/passwd"}, "auth.auth_url is not an http or https address"),
        ({"auth_url": "https://u:hunter2@k/v3"}, "has a user name or a password in it"),
        ({"auth_url": "https://k/v3#hunter2"}, "has a query or a fragment"),
        ({"auth_url": "https://k/{region_name}"}, "is not a plain address"),
        ({"auth_url": "https://k/%(project_id)1000000000s"}, "is not a plain address"),
        ({"auth_url": "https://k:99999/v3"}, "is not a plain address"),
        ({"auth_url": "https://k\n.attacker.example/"}, "is not a plain address"),
    ],
)
def test_what_is_wrong_with_the_auth_section_is_said(auth: Any, why: str) -> None:
    assert why in refusal(written({}, AUTH | auth))


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"cacert": "/etc/ssl/ca.pem"}, "put the certificates themselves under the Secret's key"),
        ({"project_name": "p"}, "project_name is outside of `auth`: move it there"),
        ({"verify": "/etc/ssl/ca.pem"}, "verify is neither true nor false"),
        ({"verify": {}}, "verify is not a text"),
        ({"interface": ["public"]}, "interface is not a text"),
        ({"interface": "x"}, "interface is not one of public, internal, admin"),
        ({"api_timeout": 0}, "api_timeout is not a number of seconds above 0"),
        ({"api_timeout": -1}, "api_timeout is not a number"),
        ({"api_timeout": "9" * 400}, "api_timeout is not a number"),
        ({"api_timeout": "inf"}, "api_timeout is not a number"),
        ({"identity_api_version": 2}, "identity_api_version is not 3"),
        ({"compute_api_version": "{x}"}, "compute_api_version is not a version"),
        ({"compute_endpoint_override": "http://n/%(project_id)s"}, "is not a plain address"),
        ({"compute_endpoint_override": "gopher://n/"}, "is not an http or https address"),
        ({"x" * 500: "y"}, "is not supported"),
        ({"\x1b[2J": "y"}, "is not supported"),
    ],
)
def test_what_is_wrong_with_a_value_is_said(entry: Any, why: str) -> None:
    assert why in refusal(written(entry))


BOMB = "\n".join(["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"] + [
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 8)
] + ["clouds: {openstack: *a7}"])  # fmt: skip


@pytest.mark.finding("C1", "S6")
@pytest.mark.parametrize(
    ("text", "why"),
    [
        (BOMB, "an anchor '&' or an alias '*'"),
        ("x: &a 1\nclouds: {}", "an anchor '&' or an alias '*'"),
        ("clouds: &a\n  openstack: {auth: *a}", "an anchor '&' or an alias '*'"),
        ("clouds:\n  <<: {openstack: {}}", "a merge key '<<'"),
        ("clouds: !!python/object/apply:os.system ['true']", "a tag '!'"),
        ("clouds: !!str x", "a tag '!'"),
        ("clouds: !x y", "a tag '!'"),
        ("!!map {clouds: x}", "a tag '!'"),
        ("%TAG ! tag:x,2000:\n---\nclouds: {}", "a directive"),
        ("clouds: {}\n---\nclouds: {}", "several documents"),
        ("clouds: {}\nclouds: {}", "the same key twice"),
        ("? [a]\n: b", "a key that is not a text"),
        ("[" * 9, "more levels or values"),
        ("[" * 60_000, "more levels or values"),
        ("{a: " * 10_000, "more levels or values"),
        ("- " * 30_000, "more levels or values"),
        ("[" + "x," * 30_000 + "]", "more levels or values"),
        ("a" * 65_537, "is larger than 64 KiB"),
        ("\x00", "is not valid YAML"),
        ("a: \x07", "is not valid YAML"),
        ("a: b: c", "is not valid YAML at line 1"),
        ("{" * 3, "a key that is not a text"),
        ("a: '", "is not valid YAML"),
        ('a: "\\U00110000"', "is not valid YAML"),
        ('a: "\\UFFFFFFFF"', "is not valid YAML"),
        (f"%YAML 1.{'9' * 5000}\n---\na: b", "is not valid YAML"),
        ('a: "\\ud800"', "an escape that is no character"),
        ("\t", "clouds.yaml"),
    ],
)
def test_yaml_that_is_more_than_a_list_of_values_is_refused(text: str, why: str) -> None:
    assert why in refusal(text.encode())


@pytest.mark.finding("C1")
@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"clouds: \xff", "clouds: {}".encode("utf-16")])
def test_what_is_no_utf8_is_no_yaml(data: bytes) -> None:
    assert "it is not UTF-8 text" in refusal(data)


@pytest.mark.finding("C1")
def test_the_time_for_any_file_is_bounded() -> None:
    """Reading the worst file of 64 KiB takes no more than some hundred good ones of the size."""
    plain = ("clouds: {openstack: {auth: {}}}\n#" + "x" * 65_000).encode()
    worst = [b"[" * 65_000, b"a: " * 20_000, b"? " * 30_000, b"'" * 65_000, b"#" * 65_000,
             b"- " * 30_000, b"{" * 65_000, b"a\n" * 30_000, b"|\n" * 30_000, b"%" * 65_000,
             b"\n" * 65_000, b"x" * 1000 + b":" * 60_000, b"[" + b"a:b," * 16_000]  # fmt: skip

    def seconds(text: bytes) -> float:
        began = time.process_time()
        with pytest.raises(Unusable):
            read_cloud(text, "openstack")
        return time.process_time() - began

    seconds(plain)
    unit = max(seconds(plain), 0.005)
    assert max(map(seconds, worst)) < 500 * unit


# Whatever is written


@pytest.mark.finding("C1")
@FUZZ
@given(st.binary(max_size=200) | texts.map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    told = said(data)
    assert told is None or told.isprintable()


entries = st.dictionaries(
    st.sampled_from(
        [
            "region_name",
            "interface",
            "verify",
            "api_timeout",
            "identity_api_version",
            "auth_type",
            "compute_endpoint_override",
            "x_api_version",
            "profile",
            "cacert",
        ]
    )
    | texts,
    json_values,
    max_size=4,
)
sections = st.dictionaries(st.sampled_from([*AUTH, "project_name", "token"]) | texts, json_values)


@pytest.mark.finding("C1")
@FUZZ
@given(entries, sections)
def test_any_entry_is_plain_or_refused(entry: Any, section: Any) -> None:
    """What comes out has no type, key or address but those that are on the list."""
    document = {"clouds": {"openstack": {"auth": AUTH | section, **entry}}}
    data = json.dumps(document).encode()
    if told := said(data):
        assert told.isprintable() and len(told) < 400
        return
    found = read_cloud(data, "openstack")
    assert address_fault(found.auth_url) is None
    assert not any(address_fault(address) for address in found.overrides.values())
    assert all(type(value) is str for value in found.auth.values())
    assert 0 < found.timeout <= 30
    assert isinstance(found.verify, bool) and found.interface in ("public", "internal", "admin")
    assert "profile" not in entry or entry["profile"] is None
