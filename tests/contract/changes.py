"""Where releases of Nova differ: what changed, and since when.

docs/releases.md tells what follows for a drain.
"""

from dataclasses import dataclass

Version = tuple[int, ...]


def numbers(version: str) -> Version:
    return tuple(map(int, version.split(".")))


@dataclass(frozen=True)
class Change:
    """A change of Nova.

    commit: in openstack/nova, on master; since: the first release with it, of each series that
    got it.
    """

    commit: str
    since: tuple[str, ...]

    def is_in(self, version: Version) -> bool:
        firsts = [numbers(text) for text in self.since]
        newest_series = max(first[0] for first in firsts)
        return version[0] > newest_series or any(
            first[0] == version[0] and first <= version for first in firsts
        )


# compute/manager.py update_compute_provider_status: the trait COMPUTE_STATUS_DISABLED is written
# with Placement's own generation; before, with a remembered one, so that it may fail (409) and
# is then repaired by the periodic task, within a minute.
TRAIT_AT_ONCE = Change("1b661c2669d9d75b3d4622418e84a5c4046c2072", ("22.0.0",))
# compute/manager.py _rollback_live_migration: a live migration that was rolled back ends as
# `failed`; before, as `error`.
ROLLED_BACK_IS_FAILED = Change("255b3f2f918843ca5dd9b99e109ecd2189b6b749", ("22.0.0",))
# exception.py ForbiddenWithAccelerators and the like: HTTP 400; before, 403 and in other words.
UNSUPPORTED_IS_400 = Change("1b6a6e3916806849025f3a90cd6ec48811b02e8a", ("24.0.0",))
# compute/manager.py live_migration_abort: a queued one is cleaned up (bugs 1949808, 1960412);
# before, only its record is ended: the server keeps its task for ever, and Placement has it on
# the destination.
ABORT_IN_THE_QUEUE_CLEANS_UP = Change(
    "219520d9cec6a204e0d0f75881d75c8db48e7f56", ("24.1.1", "25.0.0")
)
# compute/manager.py _post_live_migration_update_host: where the end of a live migration fails on
# the source, the server is written down on the destination, where its guest is (bug 1628606);
# before, on the source.
HOST_OF_A_FAILED_END = Change(
    "8449b7caefa4a5c0728e11380a088525f15ad6f5", ("24.2.0", "25.1.0", "26.1.0", "27.0.0")
)
# api/openstack/compute/services.py _check_for_evacuations: a host is not forced up while servers
# that were evacuated from it have their records `done`; before, it is.
UP_WAITS_FOR_EVACUATIONS = Change("bf89a23d91f01a29ba9b19bd0accf8de8c05f2f7", ("24.0.0",))
# scheduler/client/report.py _remove_allocations_for_evacuated_instances: a service is deleted with
# what servers that were evacuated from its host hold there; before, that stays, and the provider.
DELETE_RELEASES_EVACUATED = Change("e5a34fffdf97fcda7d0abfdc9e23485479ca2c4f", ("25.0.0",))
# virt/node.py: a node keeps its UUID in a file; before, one that was deleted comes back as
# another hypervisor and provider.
NODE_KEEPS_ITS_UUID = Change("3b33b0938ea4f5b00537298bc7fcb531fb9ec811", ("27.0.0",))
# compute/api.py add_host_to_aggregate: refused where servers would change their zone (bug
# 1907775).
ZONE_OF_SERVERS_IS_KEPT = Change("3c0eadae0b9ec48586087ea6c0c4e9176f0aa3bc", ("29.0.2", "30.0.0"))
# compute/manager.py _post_live_migration: an end that fails on the destination is a failed
# migration (bug 2000069); before, it is logged, and the record says `completed`.
END_ON_DESTINATION_COUNTS = Change("a87b80fb39a65140c7e6c3ed87edf10b1df70be8", ("30.2.1", "31.0.0"))
# compute/manager.py _do_check_can_live_migrate_destination: whatever fails in the check on the
# source is a `no` of the destination; before, what nobody expects sets the server to ERROR,
# though its guest is untouched (bug 2044235).
CHECK_ON_SOURCE_IS_A_NO = Change(
    "dc51a4271b6b328fdd655d48559f7220efcf794b", ("30.2.1", "31.2.0", "32.1.0", "33.0.0")
)
# db/main/api.py compute_node_delete: the node is to be mapped to its cell again when it returns
# (bug 2085135). Before, since 27.0.0, a host whose service was deleted stays unmapped until
# somebody runs `nova-manage cell_v2 discover_hosts --by-service`.
NODE_IS_MAPPED_AGAIN = Change(
    "c04c94ecfb1b5bfb85bddf36612665402ed2bde8", ("30.2.1", "31.3.0", "32.1.0", "33.0.0")
)
