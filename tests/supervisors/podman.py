"""A podman that Debian 12 does not have: one that can change a container's restart policy."""

from pathlib import Path

from tests.harness.go_programs import GoProgram

VERSION = "5.4.2"
PODMAN = GoProgram(
    name="podman",
    module="github.com/containers/podman/v5",
    version=VERSION,
    checksum="h1:r1Rv6GiH0YCFS91B+f0DEgEZK8yfzzkjiECVLjLjcuQ=",
    package="cmd/podman",
    # What needs C libraries that a test has no use for is left out.
    tags="containers_image_openpgp exclude_graphdriver_btrfs exclude_graphdriver_devicemapper",
)


def newer_podman() -> Path:
    """The program. Raises BedError where it cannot be built."""
    return PODMAN.path()
