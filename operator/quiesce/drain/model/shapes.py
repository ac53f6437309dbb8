"""What placement is asked for on behalf of a server."""

import math

from quiesce.openstack.records import Server, Shape


def shape_of(server: Server) -> Shape:
    """As Nova asks (nova/scheduler/utils.py ResourceRequest, without its rarer parts)."""
    flavor = server.flavor
    traits = sorted(
        name.removeprefix("trait:")
        for name, value in flavor.extra_specs.items()
        if name.startswith("trait:") and value == "required"
    )
    disk = 0 if server.volume_backed else flavor.disk
    resources = {
        "VCPU": flavor.vcpus,
        "MEMORY_MB": flavor.ram,
        "DISK_GB": disk + math.ceil(flavor.swap / 1024),
    }
    for name, value in flavor.extra_specs.items():
        if name.startswith("resources:") and value.isdigit():
            resources[name.removeprefix("resources:")] = int(value)
    return Shape(tuple(sorted((k, v) for k, v in resources.items() if v)), tuple(traits))
