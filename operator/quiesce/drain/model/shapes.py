"""What placement is asked for on behalf of a server."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping

from quiesce.openstack.records import Flavor, Server, Shape

_HYPERTHREADING = "HW_CPU_HYPERTHREADING"


def shape_of(server: Server) -> Shape:
    """As Nova asks (nova/scheduler/utils.py ResourceRequest, without its rarer parts).

    Numbered groups of resources are added up, and their traits left out: they are of other
    providers than the host's own.
    """
    flavor, image = server.flavor, server.image_properties
    wanted = _of_extra_specs(flavor.extra_specs)
    if not wanted.keys() & {"VCPU", "PCPU"}:
        wanted |= _cpus(flavor, image)
    wanted.setdefault("MEMORY_MB", flavor.ram)
    if "DISK_GB" not in wanted:
        root = 0 if server.volume_backed else flavor.disk
        wanted["DISK_GB"] = root + math.ceil(flavor.swap / 1024)
    if _is_true(flavor.extra_specs.get("hw:mem_encryption")) or _is_true(
        image.get("hw_mem_encryption")
    ):
        wanted["MEM_ENCRYPTION_CONTEXT"] = 1
    resources = tuple(sorted((name, amount) for name, amount in wanted.items() if amount))
    return Shape(resources, tuple(sorted(_traits(flavor, image))))


def _of_extra_specs(specs: Mapping[str, str]) -> dict[str, int]:
    """`resources:CLASS`, `resources1:CLASS`, `resources_GROUP:CLASS`, and persistent memory."""
    found: Counter[str] = Counter()
    for key, value in specs.items():
        prefix, colon, name = key.partition(":")
        if colon and prefix.startswith("resources") and _is_number(value):
            found[name] += int(value)
    for label in filter(None, map(str.strip, specs.get("hw:pmem", "").split(","))):
        name = re.sub("[^0-9A-Za-z]+", "_", label).upper()
        found[f"CUSTOM_PMEM_NAMESPACE_{name}"] += 1
    return dict(found)


def _cpus(flavor: Flavor, image: Mapping[str, str]) -> dict[str, int]:
    """Dedicated CPUs are PCPU (_translate_pinning_policies)."""
    specs = flavor.extra_specs
    policy = _of_flavor_or_image("cpu_policy", flavor, image)
    if policy not in ("dedicated", "mixed"):
        return {"VCPU": flavor.vcpus}
    dedicated = flavor.vcpus
    if policy == "mixed":
        realtime = image.get("hw_cpu_realtime_mask") or specs.get("hw:cpu_realtime_mask")
        mask = specs.get("hw:cpu_dedicated_mask") or realtime or ""
        dedicated = len(_cpus_of_mask(mask, flavor.vcpus))
    shared = flavor.vcpus - dedicated
    emulator = 1 if specs.get("hw:emulator_threads_policy") == "isolate" else 0
    return {"VCPU": shared, "PCPU": dedicated + emulator}


def _cpus_of_mask(mask: str, vcpus: int) -> set[int]:
    """`0-3,^1`; one that only excludes is taken from all (nova/virt/hardware.py
    get_dedicated_cpu_constraint, parse_cpu_spec).
    """
    included: set[int] = set()
    excluded: set[int] = set()
    for part in filter(None, (part.strip() for part in mask.split(","))):
        first, _, last = part.removeprefix("^").partition("-")
        if not _is_number(first) or (last and not _is_number(last)):
            continue
        cpus = range(int(first), min(int(last or first) + 1, vcpus))
        (excluded if part.startswith("^") else included).update(cpus)
    return (included or set(range(vcpus))) - excluded


def _traits(flavor: Flavor, image: Mapping[str, str]) -> Iterable[str]:
    for key, value in (*flavor.extra_specs.items(), *image.items()):
        if key.startswith("trait:") and value in ("required", "forbidden"):
            yield f"{'!' if value == 'forbidden' else ''}{key.removeprefix('trait:')}"
    threads = _of_flavor_or_image("cpu_thread_policy", flavor, image)
    if threads in ("isolate", "require"):
        yield f"{'!' if threads == 'isolate' else ''}{_HYPERTHREADING}"


def _of_flavor_or_image(name: str, flavor: Flavor, image: Mapping[str, str]) -> str | None:
    """`hw:name` of the flavor, else `hw_name` of the image."""
    return flavor.extra_specs.get(f"hw:{name}") or image.get(f"hw_{name}")


def _is_number(value: str) -> bool:
    """`isdigit` alone holds for texts that are no number to `int`: `²`."""
    return value.isascii() and value.isdecimal() and len(value) < 16


def _is_true(value: str | None) -> bool:
    """oslo_utils.strutils.bool_from_string, which Nova uses here."""
    return (value or "").strip().lower() in ("1", "t", "true", "on", "y", "yes")
