"""Whatever users of the cluster write into annotations, Secrets and specs: it is read once, as one
bounded line, and never breaks what reads it.
"""

import json
import unicodedata
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, x25519
from hypothesis import given
from hypothesis import strategies as st

from quiesce.api import durations
from quiesce.api.annotations import REQUESTED_AT, ROTATE_KEY, VALUE_LENGTH, request
from quiesce.api.drain.record import Record
from quiesce.api.drain.status import DrainStatus
from quiesce.api.errors import InvalidSpec
from quiesce.api.keyring.spec import KeyringSpec
from quiesce.api.text import timestamp
from quiesce.keyring.errors import BadMigrationKey
from quiesce.keyring.model import KeyHistory
from quiesce.keyring.observe import KeyStore
from quiesce.kube.outgoing import TEXT_LENGTH, outgoing_status
from quiesce.kube.resource import Resource
from quiesce.ssh.errors import BadKey
from quiesce.ssh.login import login_key
from tests.harness.shelf import MIGRATION_KEY, Shelf
from tests.security.fuzz import FUZZ
from tests.unit.keyring.build import OLD

ANY = st.characters()  # lone surrogates too: JSON can spell them
CANARY = token_hex(4)  # no constant of the code: Hypothesis draws those by itself
SECRETS = st.sampled_from(
    [f"password={CANARY}", f"https://u:{CANARY}@h/", "Bearer abcdefghijkl", "token=x", '"', "…"]
)
TEXT = st.lists(st.one_of(st.text(ANY, max_size=40), SECRETS), max_size=6).map("".join)
LONG = st.tuples(TEXT, st.sampled_from([2, 9, 60])).map(lambda found: found[0] * found[1])
HOSTILE = st.one_of(TEXT, LONG)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def is_plain(text: str, limit: int) -> bool:
    return len(text) <= limit and not any(
        unicodedata.category(each) in {"Cc", "Cf", "Cs"} or each > "\uffff" for each in text
    )


@pytest.mark.finding("L2", "M2")
@FUZZ
@given(HOSTILE)
def test_a_request_is_acted_on_once_whatever_it_says(value: str) -> None:
    """Else a drain would count its attempts from the start at every reconciliation."""
    asked = request({REQUESTED_AT: value}, REQUESTED_AT)
    assert asked is not None and is_plain(asked, VALUE_LENGTH)
    record = Record(started=timestamp(NOW), found_status="enabled")
    handled = record.acknowledge(asked, 7)
    stored = outgoing_status(DrainStatus(record=handled).to_json())
    again = Record.read(stored)
    assert again.acknowledge(asked, 9).attempts_from == again.attempts_from


@pytest.mark.finding("L2", "M9")
@FUZZ
@given(HOSTILE)
def test_a_rotation_is_made_once_whatever_the_request_says(value: str) -> None:
    shelf = Shelf()
    keyring("k", {}, {ROTATE_KEY: value}, shelf).ensure_keys(NOW, OLD.public)
    stored = dict(shelf.held["k-migration-key"])
    keyring("k", {}, {ROTATE_KEY: value}, shelf).ensure_keys(NOW, OLD.public)
    assert shelf.held["k-migration-key"] == stored
    assert len(stored["rotate-request"]) <= 4 * VALUE_LENGTH


@pytest.mark.finding("M1", "M2", "L2")
@FUZZ
@given(st.recursive(st.one_of(HOSTILE, st.integers(), st.none()), st.lists, max_leaves=4))
def test_a_status_is_what_the_api_server_takes_as_yaml(value: Any) -> None:
    """And what passes once passes again unchanged, so that an unchanged status is not written."""
    sent = outgoing_status({"message": value, "service": {"foundReason": value}})
    text = json.dumps(sent)
    assert not any(f"\\ud{each}" in text.lower() for each in "89abcdef"), "a surrogate"
    assert CANARY not in json.dumps(sent["message"])
    assert all(is_plain(each, TEXT_LENGTH) for each in strings(sent["message"]))
    assert outgoing_status(sent) == sent


def strings(value: Any) -> list[str]:
    if isinstance(value, list):
        return [found for each in value for found in strings(each)]
    return [value] if isinstance(value, str) else []


@pytest.mark.finding("L12")
@FUZZ
@given(st.one_of(st.text(ANY, max_size=60), st.datetimes().map(str)))
def test_any_time_of_a_key_can_be_read(created: str) -> None:
    shelf = Shelf()
    store = keyring("k", {"rotateAfter": "24h"}, {}, shelf)
    store.ensure_keys(NOW, OLD.public)
    shelf.held["k-migration-key"]["created-at"] = created.encode("utf-8", "replace")
    keyring("k", {"rotateAfter": "24h"}, {}, shelf).ensure_keys(
        NOW + timedelta(hours=1), OLD.public
    )


def pem(key: Any, form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8) -> bytes:
    made: bytes = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return made


GOOD = [pem(ed25519.Ed25519PrivateKey.generate()), OLD.private.encode()]
ODD_KEYS = [
    pem(ec.generate_private_key(curve))
    for curve in (
        ec.SECP224R1(),
        ec.SECP256K1(),
        ec.BrainpoolP256R1(),
        ec.BrainpoolP384R1(),
        ec.BrainpoolP512R1(),
    )
] + [
    pem(ed448.Ed448PrivateKey.generate()),
    pem(x25519.X25519PrivateKey.generate()),
    pem(dsa.generate_private_key(1024)),
    pem(ec.generate_private_key(ec.SECP256K1()), serialization.PrivateFormat.TraditionalOpenSSL),
]
"""Valid private keys, none of which SSH can use."""
KEYS = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(ODD_KEYS),
    st.builds(
        lambda before, key, after: before + key + after,
        st.binary(max_size=8).map(lambda junk: b"\xff" + junk + b"\n"),
        st.sampled_from(GOOD + ODD_KEYS),
        st.binary(max_size=8),
    ),
)


@pytest.mark.finding("S8")
@FUZZ
@given(KEYS)
def test_a_key_that_cannot_be_read_is_named_and_its_content_is_not(content: bytes) -> None:
    shelf = Shelf()
    shelf.put("own", {"ssh-privatekey": content}, MIGRATION_KEY, type_="kubernetes.io/ssh-auth")
    with pytest.raises(BadMigrationKey) as raised:
        keyring("k", {"secretName": "own"}, {}, shelf).ensure_keys(NOW, OLD.public)
    assert "Secret ns/own" in str(raised.value)


@pytest.mark.finding("S4")
@FUZZ
@given(KEYS)
def test_any_login_key_is_read_or_refused(content: bytes) -> None:
    with suppress(BadKey):
        login_key(content, "Secret ns/login")


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(ANY, max_size=20)),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(max_size=8), inner)),
    max_leaves=8,
)


DEEP = st.builds(
    lambda opening, times, before: before + opening * times,
    st.sampled_from([b"[", b'{"current":', b'[{"previous":']),
    st.sampled_from([2_000, 50_000]),
    st.sampled_from([b"", b'{"current": "", "previous": ']),
)
"""JSON that is nested deeper than Python reads it."""


@pytest.mark.finding("S8")
@FUZZ
@given(
    st.one_of(
        DEEP,
        st.binary(max_size=100),
        JSON.map(lambda found: json.dumps(found).encode()),
        st.fixed_dictionaries({"current": JSON, "previous": JSON}).map(
            lambda found: json.dumps(found).encode()
        ),
    )
)
def test_a_damaged_history_is_a_problem_and_no_bug(keys: bytes) -> None:
    with suppress(BadMigrationKey):
        KeyHistory.read({"keys.json": keys, "known_hosts": b""}, "Secret ns/x")


@FUZZ
@given(JSON)
def test_any_spec_is_read_or_refused(spec: Any) -> None:
    with suppress(InvalidSpec):
        KeyringSpec.read(spec)


@FUZZ
@given(HOSTILE)
def test_a_duration_is_read_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert durations.seconds(text) >= 0


def keyring(name: str, key: Any, annotations: Any, shelf: Shelf) -> KeyStore:
    spec = {
        "hostAccess": {"privateKeySecretRef": {"name": "login"}, "trustOnFirstUse": True},
        "key": key,
    }
    meta = {"namespace": "ns", "name": name, "uid": "u", "annotations": annotations}
    raw = {"apiVersion": "v1", "kind": "MigrationKeyring", "metadata": meta, "spec": spec}
    return KeyStore(shelf, Resource(raw), KeyringSpec.read(spec))
