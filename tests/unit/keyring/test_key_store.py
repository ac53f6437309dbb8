"""When a key is made, kept or renewed, and what is remembered of the one before."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.harness.shelf import HOST_LOGIN, MIGRATION_KEY, Shelf
from tests.unit.keyring.build import NEW, OLD

from quiesce.api.errors import ForeignSecret
from quiesce.api.host import KeyType
from quiesce.api.keyring.spec import KeyringSpec
from quiesce.api.labels import own_labels
from quiesce.keyring.errors import BadMigrationKey, KeyNotManaged
from quiesce.keyring.model import KeyHistory
from quiesce.keyring.observe import KeyStore
from quiesce.kube.resource import Resource
from quiesce.ssh.private_keys import generate

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOGIN = generate(KeyType.ED25519).public
SSH_AUTH = "kubernetes.io/ssh-auth"


def store(shelf: Shelf, asked: str | None = None, **key: Any) -> KeyStore:
    spec = {
        "hostAccess": {"privateKeySecretRef": {"name": "login"}, "trustOnFirstUse": True},
        "key": key,
    }
    annotations = {"quiesce.dev/rotateKey": asked} if asked else {}
    meta = {"namespace": "ns", "name": "cold", "uid": "u", "annotations": annotations}
    resource = Resource(
        {"apiVersion": "v1", "kind": "MigrationKeyring", "metadata": meta, "spec": spec}
    )
    return KeyStore(shelf, resource, KeyringSpec.read(spec))


def own(shelf: Shelf, data: dict[str, bytes]) -> None:
    """A key of the user's own, released for this use."""
    shelf.put("own", data, MIGRATION_KEY, type_=SSH_AUTH)


def test_made_once_and_kept() -> None:
    shelf = Shelf()
    made = store(shelf).ensure_keys(NOW, LOGIN)
    assert made.generated
    assert shelf.types == {
        "cold-migration-key": "kubernetes.io/ssh-auth",
        "cold-keyring-state": "Opaque",
    }
    again = store(shelf).ensure_keys(NOW + timedelta(days=999), LOGIN)
    assert again.pair == made.pair
    assert not again.generated
    assert again.history.previous == ()


@pytest.mark.finding("H1")
def test_what_is_remembered_and_the_key_are_never_one_secret() -> None:
    shelf = Shelf()
    with pytest.raises(BadMigrationKey, match="ns/cold-keyring-state is where the operator keeps"):
        store(shelf, secretName="cold-keyring-state").ensure_keys(NOW, LOGIN)
    assert shelf.types == {}


@pytest.mark.parametrize("kind", ["Ed25519", "ECDSA"])
def test_of_the_kind_that_is_asked_for(kind: str) -> None:
    shelf = Shelf()
    made = store(shelf, type=kind).ensure_keys(NOW, LOGIN).pair
    assert {"Ed25519": "ssh-ed25519", "ECDSA": "ecdsa-sha2-nistp256"}[kind] == made.public.type


def test_renewed_by_age_one_at_a_time() -> None:
    shelf = Shelf()
    first = store(shelf, rotateAfter="24h").ensure_keys(NOW, LOGIN)
    assert (
        store(shelf, rotateAfter="24h").ensure_keys(NOW + timedelta(hours=23), LOGIN).pair
        == first.pair
    )
    second = store(shelf, rotateAfter="24h").ensure_keys(NOW + timedelta(hours=25), LOGIN)
    assert second.generated
    assert second.history.previous == (first.pair.public,)
    assert (
        store(shelf, rotateAfter="24h").ensure_keys(NOW + timedelta(hours=99), LOGIN).pair
        == second.pair
    )


@pytest.mark.parametrize(("ahead", "generated"), [(1, False), (25, True), (99999, True)])
def test_a_key_of_the_future_is_not_kept_until_then(ahead: int, *, generated: bool) -> None:
    """It was generated before the clock of the machine was set back."""
    shelf = Shelf()
    store(shelf).ensure_keys(NOW + timedelta(hours=ahead), LOGIN)
    assert store(shelf, rotateAfter="24h").ensure_keys(NOW, LOGIN).generated is generated


def test_renewed_on_request_once_for_each_value() -> None:
    shelf = Shelf()
    first = store(shelf, asked="a").ensure_keys(NOW, LOGIN)
    assert store(shelf, asked="a").ensure_keys(NOW, LOGIN).pair == first.pair
    second = store(shelf, asked="b").ensure_keys(NOW, LOGIN)
    assert second.history.previous == (first.pair.public,)
    assert store(shelf, asked="b").ensure_keys(NOW, LOGIN).pair == second.pair


def test_a_death_between_the_two_secrets_loses_no_key() -> None:
    shelf = Shelf()
    first = store(shelf).ensure_keys(NOW, LOGIN)
    state = dict(shelf.held["cold-keyring-state"])
    second = store(shelf, asked="b").ensure_keys(NOW, LOGIN)
    shelf.held["cold-keyring-state"] = state
    again = store(shelf, asked="b").ensure_keys(NOW, LOGIN)
    assert again.pair == second.pair
    assert again.history.previous == (first.pair.public,)


def test_a_key_of_the_users_own_is_used_as_it_is_and_may_be_replaced() -> None:
    shelf = Shelf()
    own(shelf, {"ssh-privatekey": OLD.private.encode()})
    assert store(shelf, secretName="own").ensure_keys(NOW, LOGIN).pair == OLD
    own(shelf, {"ssh-privatekey": NEW.private.encode()})
    replaced = store(shelf, secretName="own").ensure_keys(NOW, LOGIN)
    assert (replaced.pair, replaced.history.previous) == (NEW, (OLD.public,))
    back = dict(shelf.held)
    own(shelf, {"ssh-privatekey": OLD.private.encode()})
    returned = store(shelf, secretName="own").ensure_keys(NOW, LOGIN)
    assert (returned.pair, returned.history.previous) == (OLD, (NEW.public,))
    assert back["own"] == {"ssh-privatekey": NEW.private.encode()}


@pytest.mark.finding("S8")
def test_a_key_of_the_users_own_is_never_rotated() -> None:
    shelf = Shelf()
    own(shelf, {"ssh-privatekey": OLD.private.encode()})
    for attempt in (
        store(shelf, secretName="own", rotateAfter="1h"),
        store(shelf, asked="x", secretName="own"),
    ):
        with pytest.raises(KeyNotManaged, match="ns/own"):
            attempt.ensure_keys(NOW, LOGIN)


@pytest.mark.finding("S8")
@pytest.mark.parametrize("text", [b"", b"hello", OLD.private.encode()[:100]])
def test_a_secret_without_a_key_is_named_and_not_overwritten(text: bytes) -> None:
    shelf = Shelf()
    own(shelf, {"ssh-privatekey": text})
    with pytest.raises(BadMigrationKey, match="ns/own"):
        store(shelf, secretName="own").ensure_keys(NOW, LOGIN)
    assert shelf.held == {"own": {"ssh-privatekey": text}}


@pytest.mark.finding("S8")
def test_a_damaged_memory_is_no_empty_memory() -> None:
    with pytest.raises(BadMigrationKey):
        KeyHistory.read({"keys.json": b"{}", "known_hosts": b""}, "Secret ns/x")


# What may be copied to hosts


@pytest.mark.finding("H1")
def test_the_secret_of_the_login_key_is_refused_by_its_name() -> None:
    shelf = Shelf()
    shelf.put("login", {"ssh-privatekey": OLD.private.encode()}, MIGRATION_KEY, type_=SSH_AUTH)
    with pytest.raises(BadMigrationKey, match=r"Secret ns/login .*privateKeySecretRef"):
        store(shelf, secretName="login").ensure_keys(NOW, LOGIN)
    assert set(shelf.held) == {"login"}


@pytest.mark.finding("H1")
def test_the_login_key_is_refused_under_any_name() -> None:
    shelf = Shelf()
    own(shelf, {"ssh-privatekey": OLD.private.encode()})
    with pytest.raises(BadMigrationKey, match="Secret ns/own holds the operator's own login key"):
        store(shelf, secretName="own").ensure_keys(NOW, OLD.public)
    assert "cold-keyring-state" not in shelf.held


@pytest.mark.finding("H1")
@pytest.mark.parametrize(
    ("labels", "type_", "words"),
    [
        ((), SSH_AUTH, "kubectl label secret -n ns own quiesce.dev/migration-key=true"),
        ((MIGRATION_KEY,), "Opaque", "is of type Opaque"),
        ((MIGRATION_KEY, HOST_LOGIN), SSH_AUTH, "quiesce.dev/host-login"),
        ((HOST_LOGIN,), SSH_AUTH, "quiesce.dev/host-login"),
    ],
)
def test_a_secret_that_is_not_released_for_it_is_not_copied_to_hosts(
    labels: tuple[str, ...], type_: str, words: str
) -> None:
    shelf = Shelf()
    shelf.put("own", {"ssh-privatekey": OLD.private.encode()}, *labels, type_=type_)
    with pytest.raises(BadMigrationKey, match=words):
        store(shelf, secretName="own").ensure_keys(NOW, LOGIN)
    assert set(shelf.held) == {"own"}


@pytest.mark.finding("M3")
def test_the_key_of_another_keyring_is_neither_used_nor_rotated() -> None:
    shelf = Shelf()
    theirs = {"ssh-privatekey": OLD.private.encode(), "created-at": b"2020-01-01T00:00:00+00:00"}
    shelf.put("prod", theirs, type_=SSH_AUTH)
    shelf.labels["prod"] = own_labels("prod's uid")
    with pytest.raises(BadMigrationKey, match=r"quiesce\.dev/migration-key"):
        store(shelf, secretName="prod", rotateAfter="1h").ensure_keys(NOW, LOGIN)
    shelf.labels["prod"][MIGRATION_KEY] = "true"
    with pytest.raises(KeyNotManaged):
        store(shelf, secretName="prod", rotateAfter="1h").ensure_keys(NOW, LOGIN)
    assert shelf.held["prod"] == theirs


@pytest.mark.finding("M3")
def test_a_foreign_secret_with_the_name_of_the_history_is_left_alone() -> None:
    shelf = Shelf()
    shelf.put("cold-keyring-state", {"precious": b"1"})
    with pytest.raises(ForeignSecret, match="Secret ns/cold-keyring-state"):
        store(shelf).ensure_keys(NOW, LOGIN)
    assert shelf.held == {"cold-keyring-state": {"precious": b"1"}}


@pytest.mark.finding("H5")
def test_secrets_of_an_earlier_version_lose_the_owner_that_takes_them_along() -> None:
    shelf = Shelf()
    first = store(shelf).ensure_keys(NOW, LOGIN)
    for name in ("cold-migration-key", "cold-keyring-state"):
        shelf.owners[name], shelf.labels[name] = {"u"}, {}
    again = store(shelf).ensure_keys(NOW, LOGIN)
    assert again.pair == first.pair
    shelf.collect("u")
    assert set(shelf.held) == {"cold-migration-key", "cold-keyring-state"}


@pytest.mark.finding("L12")
@pytest.mark.parametrize(("age", "generated"), [(1, False), (3, True)])
def test_a_time_without_a_zone_is_in_utc(age: int, *, generated: bool) -> None:
    shelf = Shelf()
    store(shelf).ensure_keys(NOW, LOGIN)
    created = (NOW - timedelta(hours=age)).replace(tzinfo=None)
    shelf.held["cold-migration-key"]["created-at"] = created.isoformat().encode()
    assert store(shelf, rotateAfter="2h").ensure_keys(NOW, LOGIN).generated is generated
