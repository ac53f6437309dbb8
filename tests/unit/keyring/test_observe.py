"""What a tick starts from: a cloud that does not list all its hosts is not relied on."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from tests.harness.shelf import CLOUD_CREDENTIALS, HOST_LOGIN, MIGRATION_KEY, Shelf
from tests.unit.keyring.build import OLD
from tests.unit.openstack.answers import Wire

from quiesce.api.errors import BadCredentials, BadHostAccess, CloudUnreachable, InvalidSpec
from quiesce.keyring.errors import BadMigrationKey, NoHosts
from quiesce.keyring.observe import KeyringObservation, observe, reads
from quiesce.kube.events import Events
from quiesce.kube.resource import Resource
from quiesce.kube.store import Store
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.session import Clouds
from quiesce.runtime.kinds import Context
from quiesce.settings import Settings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = {"hostAccess": {"privateKeySecretRef": {"name": "login"}, "trustOnFirstUse": True}}


class Nova:
    """A cloud with these services; hypervisors are listed of those whose cell answers."""

    def __init__(self, services: Mapping[str, tuple[str, str]]) -> None:
        self.rows = services

    def get(self, *_: Any) -> Cloud:
        return Cloud(
            Wire(
                lambda _service, _method, path, *_: getattr(
                    self, path.removeprefix("/os-").partition("/")[0]
                )
            )
        )

    @property
    def services(self) -> dict[str, Any]:
        rows = self.rows.items()
        return {
            "services": [
                {"id": host, "host": host, "status": status, "state": state}
                for host, (status, state) in rows
            ]
        }

    @property
    def hypervisors(self) -> dict[str, Any]:
        shown = [host for host, (status, _) in self.rows.items() if status != "UNKNOWN"]
        named = [(host, f"192.0.2.{number}") for number, host in enumerate(shown, start=1)]
        rows = [
            {"hypervisor_hostname": host, "service": {"host": host}, "host_ip": address}
            for host, address in named
        ]
        return {"hypervisors": rows}


UP = ("enabled", "up")


def observed(
    services: Mapping[str, tuple[str, str]],
    shelf: Shelf | None = None,
    spec: Mapping[str, Any] = SPEC,
    **meta: Any,
) -> KeyringObservation:
    metadata = {"namespace": "ns", "name": "cold", "uid": "u", **meta}
    resource = Resource(
        {"apiVersion": "v1", "kind": "MigrationKeyring", "metadata": metadata, "spec": spec}
    )
    context = Context(
        Settings(),
        cast("Store", None),
        shelf or secrets(),
        cast("Events", None),
        {},
        cast("Clouds", Nova(services)),
    )
    return observe(context, resource, NOW)


def secrets() -> Shelf:
    shelf = Shelf()
    shelf.put("login", {"ssh-privatekey": OLD.private.encode()}, HOST_LOGIN)
    shelf.put("openstack-clouds", {}, CLOUD_CREDENTIALS)
    return shelf


def test_while_a_cell_is_down_no_list_of_hosts_is_believed() -> None:
    """Its hosts are missing from the list: their keys would be removed from known_hosts files."""
    shelf = secrets()
    with pytest.raises(CloudUnreachable, match=r"a cell of Nova is down \(2 hosts, cmp2 first\)"):
        observed(
            {"cmp1": UP, "cmp3": ("UNKNOWN", "unknown"), "cmp2": ("UNKNOWN", "unknown")}, shelf
        )
    assert "cold-migration-key" not in shelf.held
    assert [host.name for host in observed({"cmp1": UP, "cmp2": UP}, shelf).hosts] == [
        "cmp1",
        "cmp2",
    ]


def test_nothing_is_taken_for_removed_either_while_a_cell_is_down() -> None:
    with pytest.raises(CloudUnreachable):
        observed(
            {"cmp1": UP, "cmp2": ("UNKNOWN", "unknown")}, deletionTimestamp="2026-01-01T00:00:00Z"
        )


def test_nova_moves_something_only_to_hosts_that_are_up_and_enabled() -> None:
    seen = observed({"cmp1": UP, "cmp2": ("disabled", "up"), "cmp3": ("enabled", "down")})
    assert [host.name for host in seen.hosts] == ["cmp1", "cmp2", "cmp3"]
    assert seen.destinations == {"cmp1"}


def test_a_cloud_without_hosts_is_told_unless_nothing_is_wanted_any_more() -> None:
    with pytest.raises(NoHosts):
        observed({})
    assert observed({}, deletionTimestamp="2026-01-01T00:00:00Z").hosts == ()


@pytest.mark.finding("M9")
@pytest.mark.parametrize(
    ("limit", "remedy"), [("_MOST_PROBED", "set it to Ring"), ("_MOST_HOSTS", "exclude")]
)
def test_more_hosts_than_can_be_known_of_are_refused_and_cleaned_all_the_same(
    limit: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads, limit, 2)
    assert len(observed({"cmp1": UP, "cmp2": UP}).hosts) == 2
    three = {"cmp1": UP, "cmp2": UP, "cmp3": UP}
    with pytest.raises(InvalidSpec, match=remedy):
        observed(three)
    assert len(observed(three, deletionTimestamp="2026-01-01T00:00:00Z").hosts) == 3


@pytest.mark.finding("M10")
def test_more_hashed_names_than_can_be_compared_are_refused_and_cleaned_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reads, "_MOST_HASHES", 7)
    shelf, hosts = secrets(), {"cmp1": UP, "cmp2": UP}
    hashed = f"|1|c2FsdA==|c2FsdA== {OLD.public.line}\n"
    shelf.config_maps["pins"] = {"known_hosts": hashed}
    known = {"knownHostsRef": {"kind": "ConfigMap", "name": "pins"}}
    spec = {"hostAccess": {**SPEC["hostAccess"], **known}}
    assert len(observed(hosts, shelf, spec).hosts) == 2
    shelf.config_maps["pins"] = {"known_hosts": hashed * 2}
    with pytest.raises(BadHostAccess, match="2 hashed names, too many to be compared with 4 names"):
        observed(hosts, shelf, spec)
    gone = observed(hosts, shelf, spec, deletionTimestamp="2026-01-01T00:00:00Z")
    assert len(gone.hosts) == 2


@pytest.mark.parametrize(
    ("missing", "error"), [("login", BadHostAccess), ("openstack-clouds", BadCredentials)]
)
def test_a_missing_secret_is_named(missing: str, error: type[Exception]) -> None:
    shelf = secrets()
    shelf.drop(missing)
    with pytest.raises(error, match=f"Secret ns/{missing}"):
        observed({"cmp1": UP}, shelf)


@pytest.mark.finding("H1")
def test_credentials_that_are_not_released_are_not_used() -> None:
    shelf = secrets()
    shelf.put("openstack-clouds", {})
    command = "kubectl label secret -n ns openstack-clouds quiesce.dev/cloud-credentials=true"
    with pytest.raises(BadCredentials, match=command):
        observed({"cmp1": UP}, shelf)


@pytest.mark.finding("H1")
def test_the_login_key_of_the_keyring_itself_is_never_its_migration_key() -> None:
    shelf = secrets()
    copy = {"ssh-privatekey": OLD.private.encode()}
    shelf.put("cold-migration-key", copy, MIGRATION_KEY, type_="kubernetes.io/ssh-auth")
    with pytest.raises(BadMigrationKey, match="login key"):
        observed({"cmp1": UP}, shelf)
