"""What placement still counts on the host, and how a person releases it."""

from quiesce.api.text import count, some
from quiesce.drain.decide.proof import ended_moves
from quiesce.drain.model.observation import Observation, ProofReads

_CONSUMERS = 10  # named in one message: each is to be released by a person


def left_behind(observation: Observation, leaked: tuple[str, ...]) -> str:
    """While the service is there: what these consumers hold, and the command for each."""
    ended = ended_moves(observation)
    moves, others = [c for c in leaked if c in ended], [c for c in leaked if c not in ended]
    parts = [
        f"no server is left, but placement still counts {count(len(leaked), 'allocation')} on the "
        "host that Nova forgot"
    ]
    if moves:
        parts.append(f"of moves that have ended: {some(moves, _CONSUMERS)}")
    if others:
        parts.append(
            f"of others: {some(others, _CONSUMERS)} (nova-manage placement audit tells whose they "
            "are)"
        )
    if observation.proof is not None:
        parts.append(f"release each with: {release_command(observation.proof)}")
    return "; ".join(parts)


def release_command(reads: ProofReads) -> str:
    """Takes what a consumer holds on this host, and nothing else.

    `allocation delete` would take all that it holds: what a server that lives elsewhere occupies
    there as well. The command needs 1.12, and keeps the rest of the allocation as it is since 1.28
    (osc_placement/resources/allocation.py UnsetAllocation).
    """
    providers = " ".join(f"--provider {each}" for each in reads.providers or ("PROVIDER",))
    return (
        f"openstack resource provider allocation unset {providers} CONSUMER "
        "--os-placement-api-version 1.28"
    )


def left_after_delete(reads: ProofReads, node: str) -> tuple[str, ...]:
    """What a deleted service left behind, although Nova answered 204."""
    found = []
    if reads.consumers:
        held = count(len(reads.consumers), "allocation")
        found.append(
            f"placement still holds {held} on the host (consumers "
            f"{some(reads.consumers, _CONSUMERS)}); release each with: {release_command(reads)}"
        )
    if reads.provider_exists:
        found.append(
            f"placement still has the resource provider {node}: delete it (openstack resource "
            f"provider delete {reads.root or 'UUID'}) once nova-compute is stopped for good; a "
            "running nova-compute creates it again"
        )
    return tuple(found)
