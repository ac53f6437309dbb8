"""What Nova refuses at once, by the state of the server and by who asks, and in which words."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from tests.contract.changes import UNSUPPORTED_IS_400
from tests.contract.lab import Answer, Lab

from quiesce.drain.model.history import Refusal

ANYWHERE = {"host": None, "block_migration": "auto"}
ARGUMENTS = {"os-migrateLive": ANYWHERE}
NAMES = {"os-stop": "stop"}  # what refusals call an action

# How a running server comes into a state, and what cannot be done to it there.
STATES: dict[str, tuple[str, tuple[str, ...]]] = {
    "ACTIVE": ("active", ("confirmResize", "revertResize", "shelveOffload")),
    "SHUTOFF": ("stopped", ("os-migrateLive", "confirmResize", "revertResize", "os-stop")),
    "PAUSED": ("paused", ("migrate", "confirmResize", "revertResize", "os-stop")),
    "SUSPENDED": (
        "suspended",
        ("migrate", "os-migrateLive", "confirmResize", "revertResize", "os-stop"),
    ),
    "SHELVED": ("shelved", ("migrate", "os-migrateLive", "confirmResize", "os-stop", "shelve")),
    "SHELVED_OFFLOADED": (
        "shelved_offloaded",
        ("migrate", "os-migrateLive", "shelveOffload", "shelve"),
    ),
    "RESCUE": ("rescued", ("migrate", "os-migrateLive", "confirmResize", "os-stop", "shelve")),
    "ERROR": ("error", ("migrate", "os-migrateLive", "confirmResize", "revertResize", "shelve")),
    "VERIFY_RESIZE": (
        "resized",
        ("migrate", "os-migrateLive", "os-stop", "shelve", "pause", "suspend"),
    ),
}
REFUSED = [(status, action) for status, (_, actions) in STATES.items() for action in actions]


def refusal(action: str, answer: Answer, times: int = 1) -> Refusal:
    """As a drain remembers it."""
    return Refusal(action, answer.status, answer.message, times, datetime.now(UTC))


def bring(nova: Lab, server: str, status: str) -> None:
    """Start to bring a running server into a state."""
    match status:
        case "SHUTOFF":
            nova.act(server, "os-stop")
        case "PAUSED":
            nova.act(server, "pause")
        case "SUSPENDED":
            nova.act(server, "suspend")
        case "SHELVED" | "SHELVED_OFFLOADED":
            nova.act(server, "shelve")
        case "RESCUE":
            assert nova.act(server, "rescue").status == 200
        case "ERROR":
            nova.act(server, "os-resetState", {"state": "error"})
        case "VERIFY_RESIZE":
            nova.migrate(server)


@pytest.fixture(scope="module")
def by_status(cloud: Lab) -> Iterator[dict[str, str]]:
    """One server in each state."""
    with cloud.case():
        servers = dict(zip(STATES, cloud.many({} for _ in STATES), strict=True))
        for status, server in servers.items():
            bring(cloud, server, status)
        offloaded = servers["SHELVED_OFFLOADED"]
        cloud.settled(offloaded, "SHELVED")
        assert cloud.act(offloaded, "shelveOffload").status == 202
        for status, server in servers.items():
            cloud.settled(server, status)
        yield servers


@pytest.mark.parametrize(("status", "action"), REFUSED)
def test_wrong_state(nova: Lab, by_status: dict[str, str], status: str, action: str) -> None:
    """409 Cannot 'X' instance .. while it is in vm_state Y; an offloaded server has no host."""
    server = by_status[status]
    answer = nova.act(server, action, ARGUMENTS.get(action))
    vm_state = STATES[status][0]
    words = (
        f"Cannot '{NAMES.get(action, action)}' instance {server} while it is in vm_state {vm_state}"
    )
    assert (answer.status, answer.message) == (409, words)
    assert set(answer.body) == {"conflictingRequest"}
    assert not refusal(action, answer, times=99).is_final
    assert nova.show(server)["status"] == status


def test_a_shelved_server_is_on_its_host_until_offloaded(
    nova: Lab, by_status: dict[str, str]
) -> None:
    assert nova.show(by_status["SHELVED"])["OS-EXT-SRV-ATTR:host"] == nova.source
    offloaded = by_status["SHELVED_OFFLOADED"]
    nova.wait("no host", lambda: nova.show(offloaded)["OS-EXT-SRV-ATTR:host"] is None)
    assert offloaded not in nova.held(nova.source)


@pytest.mark.parametrize(
    ("method", "task"), [("migrate", "resize_"), ("os-migrateLive", "migrating")]
)
def test_a_server_on_its_way(nova: Lab, method: str, task: str) -> None:
    """409 while it is in task_state ..; an abort of a cold move is refused so too."""
    faults = {"fault.migrate_disk_and_power_off": "sleep:2", "fault.live_migration": "sleep:2"}
    server = nova.active(metadata=faults)
    start = nova.migrate(server) if method == "migrate" else nova.migrate_live(server)
    assert start.status == 202
    nova.until(server, "migrating", "running")
    for action in ("migrate", "os-migrateLive", "os-stop", "shelve"):
        answer = nova.act(server, action, ARGUMENTS.get(action))
        assert answer.status == 409
        name = NAMES.get(action, action)
        words = f"Cannot '{name}' instance {server} while it is in task_state {task}"
        assert answer.message.startswith(words)
    if method == "migrate":
        migration = nova.migration(server)
        answer = nova.api("DELETE", f"/servers/{server}/migrations/{migration['id']}")
        assert answer.status == 409
        assert "'abort live migration'" in answer.message
        assert nova.get(f"/servers/{server}/migrations", "migrations") == []
    nova.until(server, "finished", "completed")


def test_targets(nova: Lab) -> None:
    """The same host and an unknown one are 400 for a cold move; for a live one only the unknown."""
    server = nova.server()
    same, unknown = nova.migrate(server, nova.source), nova.migrate(server, "nope")
    assert (same.status, same.message) == (
        400,
        "Cannot migrate to the host where the server exists.",
    )
    assert (unknown.status, unknown.message) == (400, "Compute host nope could not be found.")
    assert set(same.body) == {"badRequest"}
    unknown = nova.migrate_live(server, "nope")
    assert (unknown.status, unknown.message) == (400, "Compute host nope could not be found.")
    assert nova.migrate_live(server, nova.source).status == 202
    assert nova.until(server, "error")["dest_compute"] is None
    assert nova.settled(server, "ACTIVE")["OS-EXT-SRV-ATTR:host"] == nova.source


def test_a_disabled_target(nova: Lab) -> None:
    """202, then as before, the record `error`: cold and live."""
    cold, live = nova.many([{}, {}])
    service = nova.service(nova.spare)
    assert service is not None
    nova.api("PUT", f"/os-services/{service['id']}", {"status": "disabled"})
    try:
        assert nova.migrate(cold).status == 202
        assert nova.migrate_live(live).status == 202
        for server in (cold, live):
            assert nova.until(server, "error")["dest_compute"] is None
            assert nova.settled(server, "ACTIVE")["OS-EXT-SRV-ATTR:host"] == nova.source
    finally:
        nova.api("PUT", f"/os-services/{service['id']}", {"status": "enabled"})


TPM, TPM_SINCE = "a vTPM of the user's", (22,)
NEVER = {
    "an accelerator": (
        {"accel:device_profile": "gpu"},
        ("migrate", "os-migrateLive"),
        "Feature not supported with instances that have accelerators.",
    ),
    TPM: (
        {"hw:tpm_version": "2.0", "hw:tpm_model": "tpm-crb"},
        ("os-migrateLive",),
        "Operation 'live-migration' not supported for vTPM-enabled instance ({server}).",
    ),
}


@pytest.mark.field_case("F12")
@pytest.mark.parametrize("kind", NEVER)
def test_guests_that_nova_never_moves(nova: Lab, kind: str) -> None:
    """400 in words that name the kind: nothing to wait for, and nothing that a target changes.

    An older Nova answers 403 in other words, and moves what it does not know.
    """
    specs, actions, words = NEVER[kind]
    server = nova.server()
    nova.set_extra_specs(server, specs)
    for action in actions:
        answer = nova.act(server, action, ARGUMENTS.get(action))
        if kind == TPM and nova.version < TPM_SINCE:
            assert answer.status == 202
            continue
        if nova.has(UNSUPPORTED_IS_400):
            assert (answer.status, answer.message) == (400, words.format(server=server))
        else:
            assert answer.status == 403
        assert refusal(action, answer).is_final
        assert nova.show(server)["OS-EXT-STS:task_state"] is None


def test_confirm_twice(nova: Lab) -> None:
    """Again at once: 400; when ACTIVE: 409. Both mean `look again`."""
    server = nova.active(metadata={"fault.confirm_migration": "sleep:2"})
    nova.migrate(server)
    nova.settled(server, "VERIFY_RESIZE")
    assert nova.act(server, "confirmResize").status == 204
    nova.pause(0.5)
    for action in ("confirmResize", "revertResize"):
        again = nova.act(server, action)
        assert (again.status, again.message) == (400, "Instance has not been resized.")
    nova.settled(server, "ACTIVE")
    late = nova.act(server, "confirmResize")
    assert late.status == 409
    assert late.message.endswith("while it is in vm_state active")


def together(nova: Lab, server: str, action: str) -> list[Answer]:
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda _: nova.act(server, action), range(2)))


def test_two_migrations_at_once(nova: Lab) -> None:
    """One is accepted; the other is 409, or 500 when both read the server before either wrote."""
    server = nova.server()
    nova.show(server)
    answers = sorted(together(nova, server, "migrate"), key=lambda answer: answer.status)
    assert answers[0].status == 202
    assert answers[1].status in (409, 500)
    if answers[1].status == 500:
        assert set(answers[1].body) == {"computeFault"}
        assert "UnexpectedTaskStateError" in answers[1].message
    nova.settled(server, "VERIFY_RESIZE", "ACTIVE")
    assert len(nova.migrations(server)) == 1


def test_two_confirmations_at_once(nova: Lab) -> None:
    """204 for one; the other is 204 or 400, and the server ends ACTIVE. Or, rarely, both are taken
    and the second one finds nothing left to confirm: Nova sets the server to ERROR then, where it
    has moved to.
    """
    server = nova.server()
    nova.migrate(server)
    nova.settled(server, "VERIFY_RESIZE")
    statuses = sorted(answer.status for answer in together(nova, server, "confirmResize"))
    assert statuses in ([204, 204], [204, 400])
    shown = nova.settled(server, "ACTIVE", "ERROR")
    assert (
        nova.until(server, "confirmed", "error")["dest_compute"]
        == shown["OS-EXT-SRV-ATTR:host"]
        == nova.spare
    )
    if shown["status"] == "ERROR":
        assert statuses == [204, 204]
        assert "get_pci_mapping_for_migration" in shown["fault"]["details"]


def test_locked(nova: Lab) -> None:
    """A lock does not keep an admin from moving and confirming."""
    server = nova.server()
    assert nova.act(server, "lock", {"locked_reason": "mine"}).status == 202
    shown = nova.show(server)
    assert (shown["locked"], shown["locked_reason"]) == (True, "mine")
    assert nova.migrate(server).status == 202
    nova.settled(server, "VERIFY_RESIZE")
    assert nova.act(server, "confirmResize").status == 204
    nova.settled(server, "ACTIVE")


def test_deleted_while_it_waits_for_a_confirmation(nova: Lab) -> None:
    """204; the migration vanishes with the server, and the source's resources are free."""
    server = nova.server()
    nova.migrate(server)
    nova.settled(server, "VERIFY_RESIZE")
    migration = nova.migration(server)
    assert nova.api("DELETE", f"/servers/{server}").status == 204
    nova.wait("the server gone", lambda: nova.api("GET", f"/servers/{server}").status == 404)
    nova.wait("the record gone", lambda: nova.migrations(server) == [])
    nova.wait("the resources free", lambda: migration["uuid"] not in nova.held(nova.source))


def test_reset_state(nova: Lab, by_status: dict[str, str]) -> None:
    """An ERROR server set ACTIVE can be migrated; the record of a migration is not touched."""
    server = nova.server()
    nova.act(server, "os-resetState", {"state": "error"})
    assert nova.settled(server, "ERROR")["OS-EXT-STS:vm_state"] == "error"
    assert nova.act(server, "os-resetState", {"state": "active"}).status == 202
    nova.settled(server, "ACTIVE")
    assert nova.migrate(server).status == 202
    nova.settled(server, "VERIFY_RESIZE")
    nova.act(server, "os-resetState", {"state": "active"})
    assert nova.migration(server)["status"] == "finished"


def test_a_server_that_is_on_no_host(nova: Lab) -> None:
    """Offloaded, and reset to active by an admin: a live migration is taken and fails, a cold one
    is refused.
    """
    server = nova.server()
    assert nova.act(server, "shelve").status == 202
    nova.settled(server, "SHELVED")
    assert nova.act(server, "shelveOffload").status == 202
    nova.settled(server, "SHELVED_OFFLOADED")
    nova.wait(
        "its host forgotten", lambda: nova.show(server)["OS-EXT-SRV-ATTR:host"] is None
    )  # a moment later
    nova.act(server, "os-resetState", {"state": "active"})
    refused = nova.migrate(server)
    assert (refused.status, refused.message) == (409, f"Instance {server} is not ready")
    assert nova.migrate_live(server).status == 202
    nova.until(server, "error")
    row, record = nova.settled(server, "ACTIVE"), nova.migration(server)
    assert (row["OS-EXT-SRV-ATTR:host"], record["source_compute"], record["dest_compute"]) == (
        None,
        None,
        None,
    )


def test_unknown_server(nova: Lab) -> None:
    missing = "00000000-0000-4000-8000-000000000000"
    for answer in (nova.api("GET", f"/servers/{missing}"), nova.migrate(missing)):
        words = {
            "itemNotFound": {"code": 404, "message": f"Instance {missing} could not be found."}
        }
        assert (answer.status, answer.body) == (404, words)


def test_members_may_not_move(nova: Lab) -> None:
    """A plain member does not see another project's server, nor the hosts, nor the migrations."""
    server = nova.server()
    assert nova.api("GET", f"/servers/{server}", user="lab-demo").status == 404
    for path, rule in (
        ("/os-services", "os-services:list"),
        ("/os-migrations", "os-migrations:index"),
        ("/os-hypervisors", "os-hypervisors:list"),
        ("/os-aggregates", "os-aggregates:index"),
        ("/servers/detail?all_tenants=1", "servers:detail:get_all_tenants"),
    ):
        answer = nova.api("GET", path, user="lab-demo")
        words = f"Policy doesn't allow os_compute_api:{rule} to be performed."
        assert (answer.status, answer.message) == (403, words)
        assert set(answer.body) == {"forbidden"}
    placement = nova.api("GET", "/resource_providers", service="placement", user="lab-demo")
    assert placement.status == 403
