"""Moves that fail at one step: what is left, as section 3f of the notes on a live Nova has it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from tests.contract.changes import (
    CHECK_ON_SOURCE_IS_A_NO,
    END_ON_DESTINATION_COUNTS,
    HOST_OF_A_FAILED_END,
    ROLLED_BACK_IS_FAILED,
)
from tests.contract.lab import Json, Lab


@dataclass(frozen=True)
class Failure:
    """One injected failure and what comes of it.

    at: `source` or `spare`, where the server is in the end; then: what to do once it is
    VERIFY_RESIZE; event: the step of the action that failed; leaks: the migration still holds the
    source; silent: nothing tells why the server is in ERROR; text: the words of the failed step;
    misplaced: in Placement it is on the spare, though it is on the source.
    """

    operation: str
    status: str
    at: str
    migration: str
    method: str = "migrate"
    spec: str = "fail:MigrationError"  # one of many that Nova does not expect
    then: str = ""
    event: str = ""
    dest: bool = True
    leaks: bool = False
    misplaced: bool = False
    silent: bool = False
    text: str = ""

    @property
    def words(self) -> str:
        return self.text or f"injected failure in {self.operation}"


FAILURES = {
    "cold copy": Failure(
        "migrate_disk_and_power_off", "ERROR", "source", "error", event="compute_resize_instance"
    ),
    "cold copy, rolled back": Failure(
        "migrate_disk_and_power_off",
        "ACTIVE",
        "source",
        "error",
        spec="fail:InstanceFaultRollback",
        event="compute_resize_instance",
    ),
    # libvirt's driver makes a directory over SSH before it shuts the guest down, and copies after
    # it.
    "cold, unknown host key": Failure(
        "migrate_disk_and_power_off",
        "ACTIVE",
        "source",
        "error",
        spec="ssh:host-key",
        event="compute_resize_instance",
        text="Exit code: 255\nStdout: ''\nStderr: 'Host key ver",
    ),
    "cold, no place for the directory": Failure(
        "migrate_disk_and_power_off",
        "ACTIVE",
        "source",
        "error",
        spec="ssh:mkdir",
        event="compute_resize_instance",
        text="Exit code: 1\nStdout: ''\nStderr: ",
    ),
    "cold, copy fails": Failure(
        "migrate_disk_and_power_off",
        "ERROR",
        "source",
        "error",
        spec="scp",
        event="compute_resize_instance",
        text="ProcessExecutionError",
    ),
    "cold finish": Failure(
        "finish_migration", "ERROR", "spare", "error", event="compute_finish_resize"
    ),
    "confirm": Failure(
        "confirm_migration",
        "ERROR",
        "spare",
        "error",
        then="confirmResize",
        event="compute_confirm_resize",
    ),
    "revert": Failure(
        "finish_revert_migration",
        "ERROR",
        "source",
        "error",
        then="revertResize",
        event="compute_finish_revert_resize",
    ),
    # The guest is untouched and runs on; libvirt's driver raises the failure after it has rolled
    # back.
    "live copy": Failure(
        "live_migration", "ERROR", "source", "error", "os-migrateLive", silent=True
    ),
    "live copy, as in 2025.1": Failure(
        "live_migration",
        "ACTIVE",
        "source",
        "failed",
        "os-migrateLive",
        spec="fail:MigrationError,swallowed",
    ),
    "live preparation": Failure(
        "pre_live_migration",
        "ACTIVE",
        "source",
        "failed",
        "os-migrateLive",
        event="compute_pre_live_migration",
    ),
    # The guest is untouched after a failed check, also where the server is put into ERROR; what
    # fails on the source, however, counts as a `no` of the destination.
    "live check on the destination": Failure(
        "check_can_live_migrate_destination",
        "ERROR",
        "source",
        "error",
        "os-migrateLive",
        event="compute_check_can_live_migrate_destination",
        dest=False,
    ),
    "live check says no on the destination": Failure(
        "check_can_live_migrate_destination",
        "ACTIVE",
        "source",
        "error",
        "os-migrateLive",
        spec="fail:MigrationPreCheckError",
        event="compute_check_can_live_migrate_destination",
        dest=False,
    ),
    "live check on the source": Failure(
        "check_can_live_migrate_source",
        "ACTIVE",
        "source",
        "error",
        "os-migrateLive",
        event="compute_check_can_live_migrate_source",
        dest=False,
    ),
    "live end on the source": Failure(
        "post_live_migration", "ERROR", "spare", "error", "os-migrateLive", leaks=True
    ),
    "live end on the destination": Failure(
        "post_live_migration_at_destination",
        "ERROR",
        "spare",
        "error",
        "os-migrateLive",
        event="compute_post_live_migration_at_destination",
        leaks=True,
    ),
}


def failure_on(nova: Lab, name: str) -> Failure:
    """Return what comes of a failure on this release."""
    failure = FAILURES[name]
    if failure.migration == "failed" and not nova.has(ROLLED_BACK_IS_FAILED):
        return replace(failure, migration="error")
    if name == "live check on the source" and not nova.has(CHECK_ON_SOURCE_IS_A_NO):
        return replace(failure, status="ERROR")
    if name == "live end on the source" and not nova.has(HOST_OF_A_FAILED_END):
        return replace(failure, at="source", misplaced=True)
    if name == "live end on the destination" and not nova.has(END_ON_DESTINATION_COUNTS):
        return replace(failure, migration="completed", leaks=False)
    return failure


@dataclass(frozen=True)
class Outcome:
    server: Json
    migration: Json
    message: str | None
    events: dict[str, Json]
    holds_source: frozenset[str]


@pytest.fixture(scope="module")
def outcomes(cloud: Lab) -> Iterator[dict[str, Outcome]]:
    """All failures together, each with its own server."""
    with cloud.case():
        metadata = [{f"fault.{failure.operation}": failure.spec} for failure in FAILURES.values()]
        servers = dict(
            zip(FAILURES, cloud.many({"metadata": faults} for faults in metadata), strict=True)
        )
        requests = {name: start(cloud, FAILURES[name], server) for name, server in servers.items()}
        for name, server in servers.items():
            requests[name] = go_on(cloud, FAILURES[name], server) or requests[name]
        silent = [servers[name] for name, failure in FAILURES.items() if failure.silent]
        for server in silent:
            cloud.settled(server, "ERROR")  # up to two seconds after its record
        yield {name: outcome(cloud, servers[name], requests[name]) for name in FAILURES}


def start(nova: Lab, failure: Failure, server: str) -> str:
    answer = nova.migrate(server) if failure.method == "migrate" else nova.migrate_live(server)
    assert answer.status == 202
    return answer.request_id


def go_on(nova: Lab, failure: Failure, server: str) -> str:
    """Confirm or revert what is to fail then; return the request's id."""
    if not failure.then:
        return ""
    nova.settled(server, "VERIFY_RESIZE")
    answer = nova.act(server, failure.then)
    assert answer.status in (202, 204)
    return answer.request_id


def outcome(nova: Lab, server: str, request: str) -> Outcome:
    """Wait for the end of a move, then for what comes after it, and note all that is left."""
    nova.until(server, "error", "failed", "reverted", "confirmed", "completed")
    nova.wait(
        f"an end of the tasks of {server}",
        lambda: nova.show(server)["OS-EXT-STS:task_state"] is None,
    )
    nova.wait(f"an end of the steps of {server}", lambda: all_over(nova.event(server, request)[1]))
    nova.pause(2.0)  # nothing shows whether `error` will become `failed` yet, or an allocation go
    message, events = nova.event(server, request)
    held = frozenset(nova.held(nova.source))
    return Outcome(nova.show(server), nova.migrations(server)[0], message, events, held)


def all_over(events: dict[str, Json]) -> bool:
    return all(event["result"] is not None for event in events.values())


@pytest.mark.parametrize("name", FAILURES)
def test_what_is_left(nova: Lab, outcomes: dict[str, Outcome], name: str) -> None:
    """Server, host, task and migration record after each failure."""
    failure, seen = failure_on(nova, name), outcomes[name]
    host = nova.source if failure.at == "source" else nova.spare
    assert seen.server["status"] == failure.status
    assert seen.server["OS-EXT-SRV-ATTR:host"] == host
    assert seen.server["OS-EXT-STS:task_state"] is None
    assert seen.migration["status"] == failure.migration
    assert seen.migration["dest_compute"] == (nova.spare if failure.dest else None)


@pytest.mark.parametrize("name", FAILURES)
def test_fault(nova: Lab, outcomes: dict[str, Outcome], name: str) -> None:
    """A server in ERROR tells why, but for a live copy; one that is ACTIVE again shows nothing."""
    failure, seen = failure_on(nova, name), outcomes[name]
    if failure.status == "ERROR" and not failure.silent:
        assert seen.server["fault"]["code"] == 500
        assert failure.words in seen.server["fault"]["message"]
    else:
        assert "fault" not in seen.server


@pytest.mark.parametrize("name", FAILURES)
def test_action(nova: Lab, outcomes: dict[str, Outcome], name: str) -> None:
    """The step that failed says so; of a failed live copy or its end on the source only the
    migration tells.
    """
    failure, seen = failure_on(nova, name), outcomes[name]
    failed = {step for step, event in seen.events.items() if event["result"] == "Error"}
    if failure.event:
        assert seen.message == "Error"
        assert failure.event in failed
        assert failure.words in seen.events[failure.event]["details"]
    else:
        assert (seen.message, failed) == (None, set())


@pytest.mark.parametrize("name", FAILURES)
def test_resources(nova: Lab, outcomes: dict[str, Outcome], name: str) -> None:
    """Who holds the source afterwards: the server that stayed, a leaked migration, or nobody."""
    failure, seen = failure_on(nova, name), outcomes[name]
    holders = {seen.server["id"], seen.migration["uuid"]} & seen.holds_source
    expected = {seen.server["id"]} if failure.at == "source" and not failure.misplaced else set()
    expected |= {seen.migration["uuid"]} if failure.leaks else set()
    assert holders == expected


@pytest.mark.parametrize("name", ["cold, unknown host key", "cold, no place for the directory"])
def test_long_texts_are_cut(outcomes: dict[str, Outcome], name: str) -> None:
    """What a step says ends after 255 bytes, wherever that is."""
    details = outcomes[name].events["compute_resize_instance"]["details"]
    assert details.startswith("Resize error: not able to execute ssh command: Unexpected error")
    assert 252 <= len(details.encode()) <= 255


def test_a_later_look_at_the_console_becomes_the_fault(nova: Lab) -> None:
    """`fault` is whatever failed last, not what put the server into ERROR."""
    server = nova.active(
        metadata={
            "fault.migrate_disk_and_power_off": "scp",
            "fault.get_console_output": "fail:ConsoleNotAvailable",
        }
    )
    assert nova.migrate(server).status == 202
    assert nova.settled(server, "ERROR")["fault"]["message"] == "ProcessExecutionError"
    nova.pause(1.1)  # faults are sorted by whole seconds
    look = nova.act(server, "os-getConsoleOutput", {})
    assert (look.status, look.message) == (404, "Guest does not have a console available.")
    assert nova.show(server)["fault"]["message"] == "Guest does not have a console available."
