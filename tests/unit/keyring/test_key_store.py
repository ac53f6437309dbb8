"""When a key is made, kept or renewed, and what is remembered of the one before."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.harness.shelf import MIGRATION_KEY, Shelf
from tests.unit.keyring.build import NEW, OLD

from quiesce.api.host import KeyType
from quiesce.api.keyring.spec import KeyringSpec
from quiesce.keyring.errors import BadMigrationKey, KeyNotManaged
from quiesce.keyring.model import KeyHistory
from quiesce.keyring.observe import KeyStore
from quiesce.kube.resource import Resource
from quiesce.ssh.keys import generate

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


def test_a_key_of_the_users_own_is_never_rotated() -> None:
    shelf = Shelf()
    own(shelf, {"ssh-privatekey": OLD.private.encode()})
    for attempt in (
        store(shelf, secretName="own", rotateAfter="1h"),
        store(shelf, asked="x", secretName="own"),
    ):
        with pytest.raises(KeyNotManaged, match="ns/own"):
            attempt.ensure_keys(NOW, LOGIN)


@pytest.mark.parametrize("text", [b"", b"hello", OLD.private.encode()[:100]])
def test_a_secret_without_a_key_is_named_and_not_overwritten(text: bytes) -> None:
    shelf = Shelf()
    own(shelf, {"ssh-privatekey": text})
    with pytest.raises(BadMigrationKey, match="ns/own"):
        store(shelf, secretName="own").ensure_keys(NOW, LOGIN)
    assert shelf.held == {"own": {"ssh-privatekey": text}}


def test_a_damaged_memory_is_no_empty_memory() -> None:
    with pytest.raises(BadMigrationKey):
        KeyHistory.read({"keys.json": b"{}", "known_hosts": b""}, "Secret ns/x")
