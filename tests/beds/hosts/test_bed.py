"""The bed's own promises about a host that is stopped and started again."""

from contextlib import suppress
from pathlib import Path

from tests.beds.hosts import hosts


def test_a_host_starts_while_the_kernel_still_has_the_port_of_its_last_life(
    tmp_path: Path,
) -> None:
    with hosts.running(1, tmp_path) as bed:
        host = bed["cmp1"]
        host.stop()
        port = f"{bed.leg}-{host.name}"
        with suppress(hosts.BedError):  # the real one, where it is there still
            hosts.ip("link", "delete", port, inside=bed.switch)
        hosts.ip("link", "add", port, "type", "bridge", inside=bed.switch)
        bed.start(host.name)
        hosts.ip("-oneline", "link", "show", port, inside=bed.switch)
        assert host.run("echo up") == "up\n"
