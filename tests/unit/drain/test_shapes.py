"""What a plan asks placement for: the same as Nova, or it says Short or Fits wrongly."""

import pytest
from tests.unit.drain.build import server

from quiesce.drain.model.shapes import shape_of
from quiesce.openstack.records import Flavor, Shape


def shape(specs: dict[str, str], image: dict[str, str]) -> Shape:
    """Of a flavor with four CPUs and these extra specs."""
    return shape_of(server(flavor=Flavor(4, 512, 10, 0, specs), image_properties=image))


def cpus(found: Shape) -> dict[str, int]:
    return {name: n for name, n in found.resources if name in ("VCPU", "PCPU")}


@pytest.mark.field_case("F19")
@pytest.mark.parametrize(
    ("specs", "image", "wanted"),
    [
        ({}, {}, {"VCPU": 4}),
        ({"hw:cpu_policy": "shared"}, {}, {"VCPU": 4}),
        ({"hw:cpu_policy": "dedicated"}, {}, {"PCPU": 4}),
        ({}, {"hw_cpu_policy": "dedicated"}, {"PCPU": 4}),
        (
            {"hw:cpu_policy": "dedicated", "hw:emulator_threads_policy": "isolate"},
            {},
            {"PCPU": 5},
        ),
        ({"hw:cpu_policy": "dedicated", "hw:emulator_threads_policy": "share"}, {}, {"PCPU": 4}),
        ({"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "0-2"}, {}, {"PCPU": 3, "VCPU": 1}),
        ({"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "^0-1"}, {}, {"PCPU": 2, "VCPU": 2}),
        (
            {"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "0-3,^1"},
            {},
            {"PCPU": 3, "VCPU": 1},
        ),
        (
            {"hw:cpu_policy": "mixed", "hw:cpu_realtime_mask": "^0"},
            {"hw_cpu_realtime_mask": "2"},
            {"PCPU": 1, "VCPU": 3},
        ),
        ({"resources:PCPU": "4"}, {}, {"PCPU": 4}),
        ({"resources:VCPU": "0", "resources:CUSTOM_METAL": "1"}, {}, {}),
    ],
)
def test_dedicated_cpus_are_asked_for_as_such(
    specs: dict[str, str], image: dict[str, str], wanted: dict[str, int]
) -> None:
    """nova/scheduler/utils.py _translate_pinning_policies; masks: nova/virt/hardware.py."""
    assert cpus(shape(specs, image)) == wanted


@pytest.mark.field_case("F19")
@pytest.mark.parametrize(
    ("specs", "image", "wanted"),
    [
        ({"resources1:VGPU": "1", "resources2:VGPU": "1"}, {}, {"VGPU": 2}),
        ({"resources_NET:CUSTOM_X": "3"}, {}, {"CUSTOM_X": 3}),
        ({"hw:mem_encryption": "True"}, {}, {"MEM_ENCRYPTION_CONTEXT": 1}),
        ({}, {"hw_mem_encryption": "yes"}, {"MEM_ENCRYPTION_CONTEXT": 1}),
        (
            {"hw:pmem": "6GB, 6GB,big-one"},
            {},
            {"CUSTOM_PMEM_NAMESPACE_6GB": 2, "CUSTOM_PMEM_NAMESPACE_BIG_ONE": 1},
        ),
    ],
)
def test_what_else_a_flavor_or_image_asks_for(
    specs: dict[str, str], image: dict[str, str], wanted: dict[str, int]
) -> None:
    plain = {"VCPU": 4, "MEMORY_MB": 512, "DISK_GB": 10}
    assert dict(shape(specs, image).resources) == plain | wanted


@pytest.mark.parametrize(
    ("specs", "image", "traits"),
    [
        ({"trait:HW_B": "required", "trait:HW_A": "forbidden"}, {}, ("!HW_A", "HW_B")),
        ({}, {"trait:CUSTOM_RACK": "required"}, ("CUSTOM_RACK",)),
        ({"hw:cpu_thread_policy": "isolate"}, {}, ("!HW_CPU_HYPERTHREADING",)),
        ({"hw:cpu_thread_policy": "require"}, {}, ("HW_CPU_HYPERTHREADING",)),
        ({"hw:cpu_thread_policy": "prefer"}, {}, ()),
    ],
)
def test_which_traits_a_host_must_or_must_not_have(
    specs: dict[str, str], image: dict[str, str], traits: tuple[str, ...]
) -> None:
    assert shape(specs, image).traits == traits
