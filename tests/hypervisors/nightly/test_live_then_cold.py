"""`LiveThenCold` with a guest that cannot live-migrate: it alone is restarted, others move live.

Two that refuse, and what Nova makes of it: nova-compute on the destination, which leaves the server
ACTIVE, so that it is tried cold at once; and QEMU, after which Nova sets the server to ERROR.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.beds.cloud.cloudbed.rest import Api
from tests.beds.hypervisors import images
from tests.harness.consoles import Consoles, counted_on
from tests.harness.hypervisors import Guest, Host, Hypervisors, Report
from tests.harness.kubernetes import Drain, Kube, Operator
from tests.harness.promises import COLD, LIVE, moved
from tests.hypervisors.conftest import KEYRING, Keyring, never_stopped, restarted_once, runs_once

KEEP = {"afterDrain": "KeepDisabled"}
INSPECTION = """
sed -i 's/^disable_deep_image_inspection = .*/disable_deep_image_inspection = {0}/' \
    /etc/nova/nova.conf
grep -q '^disable_deep_image_inspection = {0}' /etc/nova/nova.conf
systemctl restart nova-compute
"""


@pytest.fixture
def inspecting(hypervisors: Hypervisors) -> Iterator[None]:
    """nova-compute inspects what it fetches for a live migration: Nova's default, not the bed's."""

    def disable(value: str) -> None:
        def configure(host: Host) -> None:
            host.run(INSPECTION.format(value))
            host.await_compute()

        hypervisors.each(configure)

    disable("false")
    yield
    disable("true")


@pytest.fixture
def plain(hypervisors: Hypervisors, tmp_path: Path) -> Iterator[str]:
    """The ID of an image whose kernel lacks the signature of a boot sector.

    The kernel of the other images has it, as kernels do: Nova takes it for a disk with a partition
    table that is not safe (virt/images.py do_image_deep_inspection).
    """
    lab = hypervisors.lab
    api = Api(hypervisors.settings.knobs)
    made = images.files(hypervisors.settings.cache)
    kernel = bytearray(made.kernel.read_bytes())
    kernel[510:512] = bytes(2)
    (tmp_path / "kernel").write_bytes(kernel)
    kernel_id = images.upload(
        api, "plain-kernel", tmp_path / "kernel", disk_format="aki", container_format="aki"
    )
    image_id = images.upload(
        api,
        "plain",
        made.disk,
        disk_format="raw",
        container_format="bare",
        kernel_id=kernel_id,
        ramdisk_id=lab.image("guest-ramdisk"),
        hw_disk_bus="virtio",
        os_command_line=images.COMMAND_LINE,
    )
    yield image_id
    for made_id in (image_id, kernel_id):
        api.call("glance", "DELETE", f"/images/{made_id}")


@pytest.fixture
def sound(hypervisors: Hypervisors) -> Iterator[str]:
    """The name of a flavor with a USB sound card, whose state QEMU cannot send to another host.

    libvirt: `cannot migrate domain: non-migratable device: 0000:00:02.0/1/usb-audio`.
    """
    admin, name = hypervisors.lab.admin, "guest-sound"
    flavor = {"flavor": {"name": name, "ram": 96, "vcpus": 1, "disk": 1}}
    status, made = admin.ask("POST", "/flavors", flavor)
    assert status == 200, made
    path = f"/flavors/{made['flavor']['id']}"
    specs = {"hw:sound_model": "usb", "hw:usb_model": "qemu-xhci"}
    status, answer = admin.ask("POST", f"{path}/os-extra_specs", {"extra_specs": specs})
    assert status == 200, answer
    yield name
    admin.ask("DELETE", path)


@pytest.mark.promise("never-12", "always-5")
def test_one_that_nova_refuses_is_restarted_and_the_others_move_live(
    kube: Kube,
    hypervisors: Hypervisors,
    inspecting: None,
    plain: str,
    keyring: Keyring,
    operator: Operator,
) -> None:
    [refused] = hypervisors.boot("cmp1", ["old-1"])
    others = hypervisors.boot("cmp1", ["web-1", "web-2"], image="plain")
    before = {guest.id: guest.next_report() for guest in (refused, *others)}
    keyring.apply()
    keyring.ready()

    with Consoles(hypervisors, others) as consoles:
        drain = live_then_cold(kube, keyring, attempts=2)
        drain.wait("Ready", timeout=600.0)
    for guest in others:
        counted_on(consoles.of(guest), ["cmp1", guest.host])
    moved_live(others, before)
    moved_cold(refused, before[refused.id], after=LIVE * 2)
    assert operator.healthy()


@pytest.mark.promise("never-12", "always-5")
@pytest.mark.field_case("D1")
def test_one_that_qemu_refuses_waits_for_a_person_who_lets_it_be_restarted(
    kube: Kube, hypervisors: Hypervisors, sound: str, keyring: Keyring, operator: Operator
) -> None:
    lab = hypervisors.lab
    [refused] = hypervisors.boot("cmp1", ["audio-1"], flavor=sound)
    others = hypervisors.boot("cmp1", ["web-1", "web-2"])
    before = {guest.id: guest.next_report() for guest in (refused, *others)}
    keyring.apply()
    keyring.ready()

    with Consoles(hypervisors, (refused, *others)) as consoles:
        drain = live_then_cold(kube, keyring, attempts=1)
        status = drain.until("the refusal", lambda s: s["phase"] == "Stalled", timeout=600.0)
        refused.next_report()
    counted_on(consoles.of(refused), ["cmp1"])  # in ERROR for Nova, and it has not noticed
    runs_once(refused)
    problem = next(p for p in status["problems"] if p["name"] == "audio-1")
    assert problem["reason"] == "LiveFailedInError"
    reset = f"openstack server set --state active {refused.id}"
    assert problem["remedies"] == [f"Without a reboot: {reset}"]

    with Consoles(hypervisors, others) as later:
        lab.admin.action(refused.id, "os-resetState", {"state": "active"})
        drain.wait("Ready", timeout=600.0)
        for guest in others:
            guest.next_report()
    for guest in others:
        seen = dict.fromkeys([*consoles.of(guest), *later.of(guest)])
        counted_on(list(seen), ["cmp1", guest.host])
    moved_live(others, before)
    moved_cold(refused, before[refused.id], after=(*LIVE, "resetState"))
    assert operator.healthy()


def live_then_cold(kube: Kube, keyring: Keyring, attempts: int) -> Drain:
    return Drain.apply(
        kube,
        keyring.namespace,
        "cmp1",
        "LiveThenCold",
        keyringRef={"name": KEYRING},
        service=KEEP,
        migration={"attempts": attempts},
    )


def moved_live(guests: list[Guest], before: dict[str, Report]) -> None:
    for guest in guests:
        moved(guest.bed.lab, guest.id, "cmp1", "ACTIVE", LIVE)
        never_stopped(before[guest.id], guest.next_report(after=before[guest.id]))
        runs_once(guest)


def moved_cold(guest: Guest, before: Report, after: tuple[str, ...]) -> None:
    """`after`: what was done with it first."""
    moved(guest.bed.lab, guest.id, "cmp1", "ACTIVE", COLD, before=("create", *after))
    restarted_once(before, guest.next_report(after=before))
    runs_once(guest)
    source = guest.bed["cmp1"]
    assert (source.instance_dirs(), source.domains()) == (set(), {})
