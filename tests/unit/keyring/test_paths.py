"""What a drain may ask of a keyring: why a path that is proven did not help."""

import pytest

from quiesce.api.keyring.spec import KeyringSpec
from quiesce.keyring.paths import unchecked
from quiesce.openstack.records import Hypervisor

LISTED = [Hypervisor("cmp1", "cmp1", "192.0.2.1"), Hypervisor("cmp2", "cmp2", "192.0.2.2")]


def spec(**hosts: object) -> KeyringSpec:
    access = {"privateKeySecretRef": {"name": "login"}, "trustOnFirstUse": True}
    return KeyringSpec.read({"hostAccess": access, "hosts": hosts})


@pytest.mark.field_case("F20")
@pytest.mark.parametrize(
    ("address", "hosts", "said"),
    [
        ("192.0.2.2", {}, None),
        ("198.51.100.2", {"migrationAddresses": {"cmp2": "198.51.100.2"}}, None),
        ("198.51.100.2", {}, "to 198.51.100.2, which the keyring does not check"),
        (
            "192.0.2.2",
            {"migrationAddresses": {"cmp2": "198.51.100.2"}},
            "to 192.0.2.2, and the keyring checks 198.51.100.2 of cmp2",
        ),
        ("192.0.2.2", {"addresses": {"cmp2": "203.0.113.2"}}, "for cmp2 to 192.0.2.2"),
        ("192.0.2.2", {"exclude": ["cmp2"]}, "which the keyring does not check"),
    ],
)
def test_an_address_that_the_keyring_has_not_checked_is_said(
    address: str, hosts: dict[str, object], said: str | None
) -> None:
    found = unchecked(address, spec(**hosts), LISTED)
    assert found is None if said is None else said in (found or "")
