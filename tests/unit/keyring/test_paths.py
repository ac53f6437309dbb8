"""What a drain may ask of a keyring: why a path that is proven did not help."""

import pytest

from quiesce.api.keyring.spec import KeyringSpec
from quiesce.keyring.paths import copied_to, unproven_address
from quiesce.openstack.records import Hypervisor

FAILED = (
    "Resize error: not able to execute ssh command: Unexpected error while running command.\n"
    "Command: ssh -o BatchMode=yes {} mkdir -p /var/lib/nova/instances/0c5f3f0e\nExit code: 255\n"
    "Stdout: ''\nStderr: 'Host key verificatio"
)
"""As Nova 34 words it, cut at 255 characters."""
LISTED = [Hypervisor("cmp1", "cmp1", "192.0.2.1"), Hypervisor("cmp2", "cmp2", "192.0.2.2")]


def spec(**hosts: object) -> KeyringSpec:
    access = {"privateKeySecretRef": {"name": "login"}, "trustOnFirstUse": True}
    return KeyringSpec.read({"hostAccess": access, "hosts": hosts})


@pytest.mark.field_case("F20")
@pytest.mark.parametrize("address", ["192.0.2.2", "2001:db8::2", "cmp2.example.org"])
def test_the_address_that_nova_used_is_in_its_text(address: str) -> None:
    assert copied_to(FAILED.format(address)) == address
    assert copied_to("ProcessExecutionError") is None


@pytest.mark.field_case("F20")
@pytest.mark.parametrize(
    ("address", "hosts", "said"),
    [
        ("192.0.2.2", {}, None),
        ("198.51.100.2", {"migrationAddresses": {"cmp2": "198.51.100.2"}}, None),
        ("198.51.100.2", {}, "the address of no host of the keyring"),
        (
            "192.0.2.2",
            {"migrationAddresses": {"cmp2": "198.51.100.2"}},
            "Nova copied to 192.0.2.2 of cmp2, and the keyring has checked 198.51.100.2",
        ),
        ("192.0.2.2", {"addresses": {"cmp2": "203.0.113.2"}}, "has checked 203.0.113.2"),
        ("192.0.2.2", {"exclude": ["cmp2"]}, "the address of no host of the keyring"),
    ],
)
def test_an_address_that_the_keyring_has_not_checked_is_said(
    address: str, hosts: dict[str, object], said: str | None
) -> None:
    found = unproven_address(FAILED.format(address), spec(**hosts), LISTED)
    assert found is None if said is None else said in (found or "")
