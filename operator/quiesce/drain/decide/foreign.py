"""Resizes and migrations of other users that wait to be confirmed: theirs, unless the spec says
otherwise.
"""

from quiesce.api.drain.reasons import ServerReason
from quiesce.api.drain.spec import DrainSpec, ForeignPolicy
from quiesce.drain.model.backoff import back_off
from quiesce.drain.model.migrations import POWER_LAG
from quiesce.drain.model.observation import Observation
from quiesce.drain.model.verdict import Blocked, Confirm, Verdict, Wait
from quiesce.openstack.records import RUNNING, Migration, Server


def foreign_unconfirmed(
    spec: DrainSpec, observation: Observation, migration: Migration, server: Server, failed: str
) -> Verdict:
    """Of a finished resize or migration of another user. `failed`: the checks that it fails; then
    it is not confirmed, nor where nobody can say whether it runs where it has arrived.
    """
    if spec.confirmation.foreign is not ForeignPolicy.CONFIRM:
        return Blocked(
            ServerReason.FOREIGN_RESIZE,
            f"a {migration.type} from {migration.source} to {migration.dest}, not started by this "
            "drain, "
            "waits for its owner; until then the service cannot be deleted",
            (
                "Ask its owner to confirm or revert it",
                "Set confirmation.foreign: Confirm, which confirms it for them",
            ),
        )
    if _belongs_to_another_drain(observation, migration):
        return Blocked(
            ServerReason.FOREIGN_RESIZE,
            f"a migration from {migration.source}, started by the operator's own user for another "
            "drain, waits for that drain to verify and confirm it",
            (
                "If that drain no longer exists: openstack server migration confirm "
                f"{migration.server_id}, or openstack server migration revert "
                f"{migration.server_id}",
            ),
        )
    power = spec.confirmation.checks.power
    failed = failed or (_fault_of_guest(observation, server) if power else "")
    if failed:
        text = f"another user's {migration.type} waits to be confirmed, and a check fails: {failed}"
        return Blocked(ServerReason.CHECK_FAILED, text, ("Ask its owner to confirm or revert it",))
    awaited = _awaited(observation, migration, server)
    if awaited is None and power and _may_have_died(observation, migration, server):
        text = (
            f"another user's {migration.type} is confirmed in 20 seconds: Nova may hear of a "
            "guest's death up to 15 s late"
        )
        return Wait(ServerReason.FOREIGN_MIGRATION, text)
    return awaited or Confirm(migration, ours=False)


def _fault_of_guest(observation: Observation, server: Server) -> str:
    """How it was before their move nobody knows, so only what its owner has stopped may be off."""
    if server.power_state == RUNNING:
        off = observation.running.get(server.id) is False
        return "its guest is off, as its hypervisor says" if off else ""
    stopped = server.id in observation.stopped_by_user
    return "" if stopped else "its guest is off, and nobody has asked Nova to stop it"


def _may_have_died(observation: Observation, migration: Migration, server: Server) -> bool:
    """It runs as far as Nova has heard, and its hypervisor is not one that can be asked."""
    if server.power_state != RUNNING or server.id in (*observation.running, *observation.silent):
        return False
    now = observation.now
    since = observation.history.first_seen.get((migration.id, migration.status), now)
    return now - since < POWER_LAG


def _awaited(observation: Observation, migration: Migration, server: Server) -> Verdict | None:
    """What has to pass before Nova is asked to confirm it."""
    if not observation.is_up(migration.source):
        text = f"Nova confirms nothing while nova-compute of {migration.source} is down"
        return Wait(ServerReason.SOURCE_DOWN, text)
    if not observation.is_up(server.host) or server.id in observation.silent:
        text = (
            f"another user's {migration.type} waits to be confirmed, and whether it runs is not "
            f"known: nova-compute on {server.host} is down, or its hypervisor does not answer"
        )
        return Wait(ServerReason.DESTINATION_DOWN, text)
    if observation.awaits_answer(migration.server_id):
        return Wait(
            ServerReason.ANSWER_UNKNOWN,
            "the last call for it was not answered; its state is read before anything is repeated",
        )
    refusal = observation.history.refusals.get(migration.server_id)
    if refusal is not None:
        until = refusal.at + back_off(refusal.count, migration.server_id)
        if observation.now < until:
            return Blocked(ServerReason.REFUSED, f"Nova refuses {refusal.call}: {refusal.text}")
    return None


def _belongs_to_another_drain(observation: Observation, migration: Migration) -> bool:
    """Begun by our user on another host: the drain of that host verifies and confirms it."""
    ours = migration.type == "migration" and migration.user_id == observation.user_id
    return ours and migration.source != observation.host
