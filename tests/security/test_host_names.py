"""A host that has Nova show other hosts' names for it gets none of their keys, and gives none."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quiesce.api.host import KeyType
from quiesce.api.keyring.spec import KeyringSpec, Probe
from quiesce.compute import ComputeHost, access, compute_hosts
from quiesce.compute.access import place_of
from quiesce.keyring import report
from quiesce.keyring.decide import conflicts, decide, desired_state
from quiesce.keyring.model import KeyHistory, Rotation, RotationStep
from quiesce.openstack.records import Hypervisor
from quiesce.ssh.keys import PublicKey
from quiesce.ssh.pins import HostKeys, Pins, read_pins, trusted_line
from quiesce.ssh.private_keys import generate
from tests.harness.shelf import HOST_LOGIN, Shelf
from tests.security.fuzz import FUZZ
from tests.unit.compute.test_access import LISTED, Host, log_in
from tests.unit.keyring.build import IDENTITY, NEW, OLD, desired
from tests.unit.keyring.test_key_store import store
from tests.unit.keyring.test_report import fleet

GOOD, EVIL = generate(KeyType.ED25519).public, generate(KeyType.ED25519).public
SPEC = KeyringSpec.read({"hostAccess": {"privateKeySecretRef": {"name": "login"}}})
HONEST = Hypervisor("good.example.org", "good", "192.0.2.1")
CLAIMS = ["good", "GOOD", "good.", "good.example.org", "192.0.2.1", "evil", "203.0.113.9", "::1"]


def published(hosts: tuple[ComputeHost, ...], keys: HostKeys) -> dict[str, set[PublicKey]]:
    """Name -> the keys that the hosts accept under it."""
    lines = desired_state(SPEC, IDENTITY, hosts, keys, OLD, ()).known_lines
    found: dict[str, set[PublicKey]] = {}
    for pin in read_pins("\n".join(lines), "").pins:
        for name in pin.names:
            found.setdefault(name.lower().rstrip("."), set()).add(pin.key)
    return found


def given_keys(text: str) -> HostKeys:
    return HostKeys(read_pins(text, "pins"))


@pytest.mark.finding("M5")
@pytest.mark.parametrize(
    ("name", "address"), list(itertools.product(CLAIMS, ["192.0.2.1", "203.0.113.9", "::1"]))
)
def test_no_key_of_another_host_is_published_under_a_name(name: str, address: str) -> None:
    hosts = compute_hosts([HONEST, Hypervisor(name, "evil", address)])
    keys = given_keys(f"good {GOOD.line}\nevil {EVIL.line}\n")
    found = published(hosts, keys)
    assert found["good"] == {GOOD}
    for each in ("good.example.org", "192.0.2.1"):
        assert EVIL not in found.get(each, ())
    assert [keys.of(host.name, host.names, 22) for host in hosts] == [(EVIL,), (GOOD,)]


@pytest.mark.finding("M5")
def test_a_claim_of_another_hosts_name_is_a_problem_of_the_host_that_lacks_it() -> None:
    hosts = compute_hosts([HONEST, Hypervisor("GOOD", "evil", "192.0.2.1")])
    found = conflicts(hosts)
    assert {name: failure.reason for name, failure in found.items()} == {
        "good": "NameConflict",
        "evil": "NameConflict",
    }
    assert "192.0.2.1 is evil too" in found["good"].message
    assert "good" in next(host for host in hosts if host.name == "good").names


@pytest.mark.finding("M5")
def test_an_address_of_the_spec_settles_it() -> None:
    rows = [HONEST, Hypervisor("evil", "evil", "192.0.2.1")]
    evil, good = compute_hosts(rows, {"good": "192.0.2.1"})
    assert "192.0.2.1" in good.names
    assert "192.0.2.1" not in evil.names
    assert set(conflicts((evil, good))) == {"evil"}
    both = compute_hosts(rows, {"good": "192.0.2.5", "evil": "192.0.2.6"})
    assert conflicts(both) == {}, "the shared address is used by none"


@pytest.mark.finding("M5")
def test_an_excluded_hosts_own_name_stays_its_own() -> None:
    (evil,) = compute_hosts([HONEST, Hypervisor("good", "evil", "192.0.2.9")], exclude=("good",))
    assert evil.names == ("evil", "192.0.2.9")
    (good,) = compute_hosts([HONEST, Hypervisor("evil", "evil", "192.0.2.1")], exclude=("evil",))
    assert "192.0.2.1" in good.names, "an excluded host claims nothing but its own name"


@pytest.mark.finding("M5")
def test_a_drain_reaches_a_host_by_names_that_only_an_excluded_host_claims_too() -> None:
    rows = [HONEST, Hypervisor("evil", "evil", "192.0.2.1")]
    assert "192.0.2.1" not in place_of("good", 22, rows, {}).names
    assert "192.0.2.1" in place_of("good", 22, rows, {}, ["evil", "good"]).names


@pytest.mark.finding("M5")
def test_a_key_that_a_person_has_pinned_for_a_name_is_the_only_one_there() -> None:
    """The honest host does not show that name of its own, so no other host claims it."""
    rows = [Hypervisor("good", "good", "192.0.2.1"), Hypervisor("good.example.org", "evil", "::5")]
    keys = given_keys(f"good,good.example.org {GOOD.line}\nevil {EVIL.line}\n")
    assert published(compute_hosts(rows), keys)["good.example.org"] == {GOOD}


def a_host(monkeypatch: pytest.MonkeyPatch) -> tuple[Host, Shelf]:
    """One that presents NEW, and the Secrets of a drain that logs in to it."""
    shelf = Shelf()
    shelf.put("login", {"ssh-privatekey": OLD.private.encode()}, HOST_LOGIN)
    there = Host(NEW.public, shelf)
    monkeypatch.setattr(access, "presented_key", there.present)
    monkeypatch.setattr(access, "connect", there.connect)
    return there, shelf


@pytest.mark.finding("M5")
def test_a_key_on_first_use_is_pinned_under_the_host_of_the_service_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, shelf = a_host(monkeypatch)
    log_in(shelf, LISTED, trustOnFirstUse=True)
    assert shelf.held["d-host-key"]["known_hosts"].decode() == trusted_line("cmp1", 22, NEW.public)


@pytest.mark.finding("M5")
def test_of_lines_of_earlier_versions_only_the_first_name_counts() -> None:
    trusted = read_pins(f"evil,good,192.0.2.1 {EVIL.line}\n", "state")
    keys = HostKeys(trusted=trusted)
    assert keys.of("good", ("good", "192.0.2.1"), 22) == ()
    assert keys.of("evil", ("evil",), 22) == (EVIL,)


@pytest.mark.finding("M6")
def test_a_given_key_replaces_the_one_that_was_trusted() -> None:
    trusted = read_pins(trusted_line("good", 22, EVIL), "state")
    given = read_pins(f"good.example.org {GOOD.line}\n", "pins")
    names = ("good", "good.example.org")
    assert HostKeys(Pins(), trusted).of("good", names, 22) == (EVIL,)
    assert HostKeys(given, trusted).of("good", names, 22) == (GOOD,)
    revoked = read_pins(f"@revoked * {EVIL.line}\n", "pins")
    assert HostKeys(revoked, trusted).of("good", names, 22) == ()


@pytest.mark.finding("M6")
def test_no_key_on_first_use_counts_while_the_spec_trusts_none() -> None:
    history = KeyHistory(trusted=trusted_line("good", 22, EVIL))
    keys = store(Shelf())
    assert keys.trusted_pins(history).pins
    distrusting = SPEC.model_copy(update={"host_access": SPEC.host_access})
    keys._spec = distrusting
    assert keys.trusted_pins(history) == Pins()


@pytest.mark.finding("M6")
def test_a_drain_that_trusts_no_first_key_any_more_does_not_use_the_one_that_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there, shelf = a_host(monkeypatch)
    log_in(shelf, trustOnFirstUse=True)
    log_in(shelf)
    assert [pinned for _, pinned in there.logins] == [(NEW.public,), ()]


@pytest.mark.finding("L11")
def test_a_pin_of_a_shared_address_alone_does_not_count() -> None:
    hosts = compute_hosts([HONEST, Hypervisor("evil", "evil", "192.0.2.1")])
    keys = given_keys(f"192.0.2.1 {GOOD.line}\n")
    assert [keys.of(host.name, host.names, 22) for host in hosts] == [(), ()]


NAMES = st.sampled_from(["a", "b", "c", "A", "a.x", "b.x", "192.0.2.1", "192.0.2.2", "::1", "-o x"])


@pytest.mark.finding("M5")
@FUZZ
@given(st.dictionaries(st.sampled_from("abc"), st.tuples(NAMES, NAMES), min_size=1))
def test_each_name_is_of_one_host(rows: dict[str, tuple[str, str]]) -> None:
    hosts = compute_hosts([Hypervisor(name, host, ip) for host, (name, ip) in rows.items()])
    every = [name.lower() for host in hosts for name in {n.lower() for n in host.names}]
    assert len(every) == len(set(every))
    assert all(host.name in host.names for host in hosts)


@pytest.mark.finding("M5")
def test_a_conflict_is_a_row_of_the_status_and_the_keyring_is_not_ready() -> None:
    hosts = compute_hosts([HONEST, Hypervisor("evil", "evil", "192.0.2.1")])
    found = decide(
        desired(),
        Rotation(RotationStep.STABLE),
        Probe.NONE,
        {name: fleet()["cmp1"] for name in ("good", "evil")},
        frozenset(),
        frozenset(),
        conflicts(hosts),
    )
    shown = report.status(found, 1)
    assert {(row.host, row.reason) for row in shown.problems} == {
        ("good", "NameConflict"),
        ("evil", "NameConflict"),
    }
    assert all(len(row.as_json()["message"]) < 160 for row in shown.problems)
    assert [(each.type, each.status) for each in shown.conditions[:2]] == [
        ("Ready", "False"),
        ("Stalled", "True"),
    ]
