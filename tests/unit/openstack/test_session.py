"""From a Secret to a cloud: what is wrong with it is said, where it is, and no secret with it."""

from dataclasses import dataclass, field

import pytest
from keystoneauth1.exceptions import Unauthorized

from quiesce.api.errors import BadCredentials
from quiesce.openstack.session import OneEntry, cloud_config

GOOD = """
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
        cloud_config(
            Secret({name.replace("_", "."): text.encode() for name, text in data.items()}),
            "openstack",
        )
    return str(found.value)


@pytest.mark.promise("never-9")
def test_the_entry_is_used_as_it_is_and_nothing_is_sent_twice() -> None:
    entry = cloud_config(Secret({"clouds.yaml": GOOD.encode()}), "openstack")
    assert entry["auth"]["username"] == "quiesce"
    assert entry["region_name"] == "RegionOne"
    assert (entry["compute_connect_retries"], entry["compute_status_code_retries"]) == (0, 0)


@pytest.mark.promise("never-10")
@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "clouds:\n  openstack:\n    auth: {password: hunter2\n",
            "clouds.yaml is not valid YAML at line 4",
        ),
        ("a: b: hunter2", "clouds.yaml is not valid YAML at line 1"),
        ("hunter2", "clouds.yaml has no cloud named 'openstack' (it has: none)"),
        ("", "clouds.yaml has no cloud named 'openstack' (it has: none)"),
        ("- hunter2", "clouds.yaml has no cloud named 'openstack' (it has: none)"),
        ("clouds: hunter2", "clouds.yaml has no cloud named 'openstack' (it has: none)"),
        (
            "clouds: {lab: {auth: {password: hunter2}}, alpha: {}}",
            "no cloud named 'openstack' (it has: alpha, lab)",
        ),
        ("clouds: {openstack: {password: hunter2}}", "cloud 'openstack' has no `auth` section"),
        ("clouds: {openstack: {auth: hunter2}}", "cloud 'openstack' has no `auth` section"),
        ("clouds: {openstack: hunter2}", "has no cloud named 'openstack'"),
        ("clouds: {1: {auth: {}}, lab: {}}", "no cloud named 'openstack' (it has: 1, lab)"),
    ],
)
def test_a_malformed_secret_says_what_is_wrong_and_shows_no_secret(text: str, why: str) -> None:
    found = said(clouds_yaml=text)
    assert found.startswith("Secret ns/openstack-clouds")
    assert why in found
    assert "hunter2" not in found


def test_a_secret_without_the_key_names_the_keys_it_has() -> None:
    assert (
        said(cloud="x", cacert="y")
        == "Secret ns/openstack-clouds has no key clouds.yaml (its keys: cacert, cloud)"
    )
    assert said() == "Secret ns/openstack-clouds has no key clouds.yaml (its keys: none)"


def test_bytes_that_are_no_text_are_a_malformed_secret() -> None:
    with pytest.raises(BadCredentials, match="not valid YAML"):
        cloud_config(Secret({"clouds.yaml": b"\xff\xfe\x00clouds"}), "openstack")


def test_no_python_object_is_made_from_a_secret() -> None:
    assert "not valid YAML" in said(clouds_yaml="!!python/object/apply:os.system ['true']")


def test_a_thread_that_would_wait_for_itself_is_refused() -> None:
    lock = OneEntry()
    with lock, pytest.raises(Unauthorized), lock:
        pass
    with lock:  # free again
        pass
