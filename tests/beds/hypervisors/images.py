"""The guests' kernel, RAM disk and disk, made of Debian packages: no image is downloaded."""

from __future__ import annotations

import fcntl
import gzip
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.beds.cloud.cloudbed.rest import Api
from tests.beds.hosts.hosts import download

INIT = Path(__file__).resolve().parent / "guest" / "init"
KERNEL, BUSYBOX = "linux-image-cloud-amd64", "busybox-static"
MODULES = (
    "virtio_pci",
    "virtio_blk",
    "evdev",
    "button",
)  # and what they need; missing ones are built in
DISK_MIB = 16
COMMAND_LINE = "console=ttyS0 quiet loglevel=3 no_timer_check nokaslr mitigations=off panic=-1"
# Image -> what its guests are told besides, on the kernel's command line.
IMAGES = {"guest": "", "guest-busy": " dirty=24", "guest-big": " payload=400"}
FLAVORS = {"guest": 96, "guest-large": 160}  # MiB


@dataclass(frozen=True)
class Files:
    kernel: Path
    ramdisk: Path
    disk: Path


def files(cache: Path) -> Files:
    """The guests' files, from the cache where they have been made before."""
    ready = cache / "guest"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "guest.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (ready / "complete").exists():
            shutil.rmtree(ready, ignore_errors=True)
            ready.mkdir()
            with tempfile.TemporaryDirectory(dir=cache) as work:
                _make(Path(work), ready)
            (ready / "complete").touch()
        ramdisk = ready / "initrd"
        if not ramdisk.exists() or ramdisk.stat().st_mtime < INIT.stat().st_mtime:
            ramdisk.write_bytes(gzip.compress(archive(_members(ready)), 6))
    return Files(ready / "vmlinuz", ramdisk, ready / "disk")


def _make(work: Path, ready: Path) -> None:
    download((_kernel_package(), BUSYBOX), work)
    for package in work.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(package), str(work / "files")], check=True)
    found = work / "files"
    shutil.copy(next(found.glob("boot/vmlinuz-*")), ready / "vmlinuz")
    shutil.copy(next(found.glob("**/bin/busybox")), ready / "busybox")
    (ready / "modules").mkdir()
    modules = {
        path.name.removesuffix(".ko").replace("-", "_"): path for path in found.rglob("*.ko")
    }
    order: list[str] = []
    for name in MODULES:
        _put_in_order(name, modules, order)
    for name in order:
        shutil.copy(modules[name], ready / "modules")
    (ready / "order").write_text("".join(f"{modules[name].name}\n" for name in order))
    with (ready / "disk").open("wb") as disk:
        disk.truncate(DISK_MIB * 2**20)


def _kernel_package() -> str:
    """The package with a version in its name that the meta package depends on."""
    shown = subprocess.run(
        ["apt-cache", "depends", KERNEL], check=True, capture_output=True, text=True
    ).stdout
    return str(re.findall(r"Depends: (linux-image-\S+)", shown)[0])


def _put_in_order(name: str, modules: dict[str, Path], order: list[str]) -> None:
    """What a module needs comes before it."""
    if name in order or name not in modules:
        return
    needs = re.search(rb"\0depends=([^\0]*)\0", b"\0" + modules[name].read_bytes())
    for other in needs[1].decode().split(",") if needs and needs[1] else []:
        _put_in_order(other.replace("-", "_"), modules, order)
    order.append(name)


def _members(ready: Path) -> Iterator[tuple[str, int, bytes]]:
    """(path, mode, content) of each file and folder of the RAM disk."""
    yield "bin", 0o040755, b""
    yield "lib", 0o040755, b""
    yield "bin/busybox", 0o100755, (ready / "busybox").read_bytes()
    yield "init", 0o100755, INIT.read_bytes()
    yield "modules", 0o100644, (ready / "order").read_bytes()
    for module in sorted((ready / "modules").iterdir()):
        yield f"lib/{module.name}", 0o100644, module.read_bytes()


def archive(members: Iterator[tuple[str, int, bytes]]) -> bytes:
    """A cpio archive, `newc` (kernel: driver-api/early-userspace/buffer-format.rst)."""
    out = bytearray()
    for number, (name, mode, data) in enumerate([*members, ("TRAILER!!!", 0, b"")], 1):
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        out += b"\0" * (-len(out) % 4) + data
        out += b"\0" * (-len(out) % 4)
    return bytes(out)


def seed(api: Api, cache: Path) -> None:
    """The guests' images and flavors, into an empty cloud."""
    made = files(cache)
    boots = {
        "kernel_id": upload(
            api, "guest-kernel", made.kernel, disk_format="aki", container_format="aki"
        ),
        "ramdisk_id": upload(
            api, "guest-ramdisk", made.ramdisk, disk_format="ari", container_format="ari"
        ),
        "hw_disk_bus": "virtio",
        "disk_format": "raw",
        "container_format": "bare",
    }
    for name, told in IMAGES.items():
        upload(api, name, made.disk, **boots, os_command_line=COMMAND_LINE + told)
    for name, ram in FLAVORS.items():
        api.call(
            "nova",
            "POST",
            "/flavors",
            {"flavor": {"name": name, "ram": ram, "vcpus": 1, "disk": 1}},
        )


def upload(api: Api, name: str, file: Path, **properties: str) -> str:
    """A public image; its id."""
    made = api.call(
        "glance", "POST", "/images", {"name": name, "visibility": "public", **properties}
    )
    api.call("glance", "PUT", f"/images/{made['id']}/file", file.read_bytes())
    return str(made["id"])
