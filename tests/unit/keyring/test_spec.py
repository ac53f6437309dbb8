"""The spec is checked again in the code: an object may be older than the CRD."""

import pytest

from quiesce.api.errors import InvalidSpec
from quiesce.api.keyring.spec import KeyringSpec

ACCESS = {"privateKeySecretRef": {"name": "login"}, "trustOnFirstUse": True}


def test_defaults() -> None:
    spec = KeyringSpec.read({"hostAccess": ACCESS})
    assert (spec.nova.user, spec.nova.home, spec.nova.shell, spec.nova_port) == (
        "nova",
        "/var/lib/nova",
        "/bin/bash",
        22,
    )
    assert spec.check_every == 600
    assert KeyringSpec.read({"hostAccess": {**ACCESS, "port": 2222}}).nova_port == 2222


@pytest.mark.finding("S3")
@pytest.mark.parametrize(
    ("field", "spec"),
    [
        ("nova.user", {"nova": {"user": "$(id)"}}),
        ("nova.home", {"nova": {"home": "/var/../etc"}}),
        ("nova.home", {"nova": {"home": "var/lib"}}),
        ("nova.shell", {"nova": {"shell": "/bin/sh\n"}}),
        ("knownHostsFile", {"knownHostsFile": "/etc/shadow"}),
        ("authorizedKeysFrom", {"authorizedKeysFrom": ["10.0.0.0/99"]}),
        ("authorizedKeysFrom", {"authorizedKeysFrom": ['10.0.0.0/8"']}),
        ("hosts.addresses", {"hosts": {"addresses": {"cmp1": "a b"}}}),
        ("hosts.addresses", {"hosts": {"addresses": {"*": "192.0.2.1"}}}),
        ("unheardOf", {"unheardOf": 1}),
    ],
)
def test_refused_by_name_of_the_field(field: str, spec: dict[str, object]) -> None:
    with pytest.raises(InvalidSpec, match=f"spec.{field}"):
        KeyringSpec.read({"hostAccess": ACCESS, **spec})
