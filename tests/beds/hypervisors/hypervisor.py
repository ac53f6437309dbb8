"""A compute host with Nova's libvirt driver: libvirtd, QEMU and nova-compute under systemd."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tests.beds.cloud.cloudbed import configs
from tests.beds.cloud.cloudbed.settings import Knobs, Paths
from tests.beds.hosts import booted
from tests.beds.hosts.booted import BASE, MASKED, Booted, packages
from tests.beds.hosts.hosts import NOVA_UID

HERE = Path(__file__).resolve().parent
LIBVIRT_GID, KVM_GID, QEMU_UID = NOVA_UID + 20, NOVA_UID + 21, NOVA_UID + 22
DISK_BYTES = 8 * 2**30  # of each host for its guests; a sparse file

QEMU_CONF = """\
security_driver = "none"
namespaces = []
cgroup_controllers = []
user = "libvirt-qemu"
group = "libvirt-qemu"
"""
LIBVIRTD_CONF = """\
host_uuid = "{uuid}"
auth_unix_ro = "none"
auth_unix_rw = "none"
auth_tcp = "none"
"""
# The devices that libvirt and QEMU want; no device of this machine is passed in but these.
DEVICES = """\
[Unit]
DefaultDependencies=no
Before=sysinit.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -euc 'mkdir -p /dev/net; mknod -m 666 /dev/net/tun c 10 200; {kvm}'
"""
DEV_KVM = "mknod -m 660 /dev/kvm c 10 232; chgrp kvm /dev/kvm"
CONTROL_PLANE = """\
[Unit]
Description=The control plane's ports on this host's own loopback
[Service]
ExecStart=/usr/bin/python3 /usr/lib/hypervisor/forward.py 127.0.0.1 {leg} {ports}
Restart=always
RestartSec=1
"""
NOVA_COMPUTE = """\
[Unit]
Description=OpenStack Nova Compute
After=network.target libvirtd.service control-plane.service
[Service]
User=nova
Group=nova
SupplementaryGroups=libvirt
ExecStart=/usr/bin/nova-compute --config-file /etc/nova/nova.conf
Restart=on-failure
RestartSec=2
TimeoutStopSec=65
[Install]
WantedBy=multi-user.target
"""
# CAP_SYS_RESOURCE may be missing here: neither a lower OOM score nor higher limits can be set.
NO_LIMITS = (
    "[Service]\nOOMScoreAdjust=0\nLimitNOFILE=\nLimitMEMLOCK=\nLimitCORE=\nTasksMax=infinity\n"
)
SUDOERS = """\
admin ALL=(ALL) NOPASSWD: ALL
nova ALL=(root) NOPASSWD: /usr/bin/nova-privsep-helper *
"""
PROGRAM = """\
#!/usr/bin/python3
import os, sys
sys.path.insert(0, "/opt/nova")
os.environ["PYTHONPATH"] = "/opt/nova"
os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "true"
from {module} import {function}
sys.exit({function}())
"""


@dataclass(frozen=True)
class Surroundings:
    """What every host knows of the cloud and of the others. `addresses`: of all hosts, by name."""

    paths: Paths
    knobs: Knobs
    ports: tuple[int, ...]
    leg: str
    addresses: Mapping[str, str]
    virt_type: str

    @property
    def site_packages(self) -> Path:
        return next(self.paths.venv.glob("lib/python3*/site-packages"))


class Hypervisor(Booted):
    PACKAGES = (
        *BASE,
        "python3",
        "python3-libvirt",
        "libvirt-daemon-system",
        "libvirt-daemon-system-systemd",
        "libvirt-daemon",
        "libvirt-clients",
        # Before 9.0 QEMU loses writes of a guest that it emulates while it migrates live (mended by
        # its commit 03bfc2188f06), and Debian 12's own is 7.2: guests panicked on arrival.
        "qemu-system-x86/backports",
        "qemu-system-common/backports",
        "qemu-system-data/backports",
        "qemu-utils/backports",
        "seabios/backports",
        "genisoimage",
        "iproute2",
    )
    ENABLED: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "multi-user.target.wants": (
            "ssh.service",
            "libvirtd.service",
            "control-plane.service",
            "nova-compute.service",
        ),
        "sockets.target.wants": (
            "libvirtd.socket",
            "libvirtd-ro.socket",
            "libvirtd-tcp.socket",
            "virtlogd.socket",
            "virtlockd.socket",
        ),
        "sysinit.target.wants": ("devices.service",),
    }
    MASKED = (*MASKED, "libvirt-guests.service", "apparmor.service")
    DISKS = ("libvirt",)

    def __init__(
        self,
        surroundings: Surroundings,
        base: Path,
        name: str,
        address: str,
        port: int,
        loopback: bool,
    ) -> None:
        super().__init__(base, name, address, port, loopback)
        self.surroundings = surroundings

    def create(self, login_key: str) -> None:
        super().create(login_key)
        disk = self.dir / "instances.img"
        disk.touch()
        os.truncate(disk, DISK_BYTES)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(disk)], check=True)
        self._folders()
        (self.dir / "etc/sudoers").chmod(0o640)
        (self.dir / "etc/sudoers").write_text(SUDOERS)
        (self.dir / "etc/sudoers").chmod(0o440)
        self._programs()

    def settings(self) -> dict[str, str]:
        hosts = "".join(
            f"{address} {name}\n" for name, address in self.surroundings.addresses.items()
        )
        return super().settings() | {
            "hosts": f"127.0.0.1 localhost\n{hosts}",
            "libvirt/qemu.conf": QEMU_CONF,
            "libvirt/libvirtd.conf": LIBVIRTD_CONF.format(uuid=uuid.uuid4()),
            "default/libvirtd": 'LIBVIRTD_ARGS=""\n',
            "nova/nova.conf": nova_conf(self.surroundings, self.name, self.address),
        }

    def _folders(self) -> None:
        """What packages make at their installation."""
        for place in ("images", "qemu", "boot", "sanlock", "dnsmasq"):
            (self.dir / "disks/libvirt" / place).mkdir()
        for place in ("log/libvirt/qemu", "log/nova", "cache/libvirt/qemu", "site"):
            (self.dir / place).mkdir(parents=True)
        for place in ("disks/libvirt/qemu", "cache/libvirt/qemu"):
            os.chown(self.dir / place, QEMU_UID, QEMU_UID)
        os.chown(self.dir / "log/nova", NOVA_UID, NOVA_UID)

    def _programs(self) -> None:
        programs = {
            "nova-compute": PROGRAM.format(module="nova.cmd.compute", function="main"),
            "nova-privsep-helper": PROGRAM.format(
                module="oslo_privsep.daemon", function="helper_main"
            ),
        }
        for place in ("usr/bin", "usr/lib/hypervisor"):
            (self.dir / place).mkdir(parents=True, exist_ok=True)
        for name, text in programs.items():
            path = self.dir / "usr/bin" / name
            path.write_text(text)
            path.chmod(0o755)
        shutil.copy(HERE / "forward.py", self.dir / "usr/lib/hypervisor")

    def _accounts(self) -> None:
        super()._accounts()
        self.add_rows(
            "passwd", f"libvirt-qemu:x:{QEMU_UID}:{KVM_GID}::/var/lib/libvirt:/usr/sbin/nologin\n"
        )
        self.add_rows(
            "group",
            f"libvirt:x:{LIBVIRT_GID}:nova\nkvm:x:{KVM_GID}:\nlibvirt-qemu:x:{QEMU_UID}:libvirt-qemu\n",
        )

    def _units(self) -> None:
        super()._units()
        own = self.dir / "usr/lib/systemd/system"  # as a package has them, not as an administrator
        own.mkdir(parents=True)
        ports = " ".join(map(str, self.surroundings.ports))
        (own / "devices.service").write_text(
            DEVICES.format(kvm=DEV_KVM if self.surroundings.virt_type == "kvm" else "")
        )
        (own / "control-plane.service").write_text(
            CONTROL_PLANE.format(leg=self.surroundings.leg, ports=ports)
        )
        (own / "nova-compute.service").write_text(NOVA_COMPUTE)
        for name in ("libvirtd", "virtlogd", "virtlockd"):
            place = self.dir / "units" / f"{name}.service.d"
            place.mkdir()
            (place / "limits.conf").write_text(NO_LIMITS)

    def launch(self) -> None:
        shutil.copy(HERE / "hypervisor.sh", self.dir)
        shutil.copy(Path(booted.__file__).with_name("boot.sh"), self.dir)
        # Bound before init.sh hides this machine's home directories, where the packages may be.
        early = 'mount --make-rprivate / && mount --bind "$1" "$2" && shift 2 && exec "$@"'
        site = [
            "/bin/sh",
            "-c",
            early,
            "-",
            str(self.surroundings.site_packages),
            str(self.dir / "site"),
        ]
        init = [
            "/bin/sh",
            str(Path(booted.__file__).with_name("init.sh")),
            str(self.dir),
            self.name,
        ]
        then = [
            str(packages(self.PACKAGES)),
            f"{self.address}/24",
            "/bin/sh",
            "hypervisor.sh",
            self.group,
        ]
        self.tree.start(["--net", "--ipc", *site, *init, *then], self.dir / "init.log")


def nova_conf(surroundings: Surroundings, host: str, address: str) -> str:
    """The cloud's nova.conf, with the libvirt driver and without the control plane's sections."""
    ini = configs.nova(surroundings.paths, surroundings.knobs)
    for section in (
        "database",
        "api_database",
        "quota",
        "conductor",
        "scheduler",
        "wsgi",
        "keystone_authtoken",
    ):
        ini.pop(section, None)
    ini["DEFAULT"] |= {
        "host": host,
        "my_ip": address,
        "state_path": "/var/lib/nova",
        "instances_path": "/var/lib/nova/instances",
        "log_file": "/var/log/nova/nova-compute.log",
        "compute_driver": "libvirt.LibvirtDriver",
        "reserved_host_memory_mb": 0,
        "cpu_allocation_ratio": 32,
        "ram_allocation_ratio": 1,
        "disk_allocation_ratio": 8,
        "shutdown_timeout": 20,
        # Nova 34 waits this long for threads of its own that never end (virt/libvirt/host.py,
        # _dispatch_thread), each time that nova-compute is stopped; the default is 160.
        "manager_shutdown_timeout": 3,
        "use_cow_images": "true",
        "force_raw_images": "true",
        "config_drive_format": "iso9660",
        "mkisofs_cmd": "genisoimage",
        "running_deleted_instance_poll_interval": 60,
        "sync_power_state_interval": 60,  # ten minutes by default: too long to wait for
    }
    ini["libvirt"] = {
        "virt_type": surroundings.virt_type,
        "cpu_mode": "none",
        "images_type": "qcow2",
        "live_migration_uri": "qemu+tcp://%s/system",
        "live_migration_completion_timeout": 120,
        "live_migration_permit_post_copy": "false",
        "inject_partition": -2,
    }
    ini["oslo_concurrency"] = {"lock_path": "/var/lib/nova/lock"}
    # Nova 34 inspects a guest's kernel as a disk image when a live migration fetches it, and
    # refuses it as unsafe.
    ini["workarounds"] = {"disable_deep_image_inspection": "true"}
    helper = "sudo /usr/bin/nova-privsep-helper --config-file /etc/nova/nova.conf"
    for context in ("nova_sys_admin", "privsep_osbrick", "vif_plug_ovs_privileged"):
        ini[context] = {"helper_command": helper}
    return configs.rendered(ini)
