#!/bin/sh
# Between init.sh (files and network of a host) and boot.sh (systemd): what a hypervisor has besides.
# Its working directory is the host's, `site` in it the Python packages of the cloud's virtual environment. Arguments: boot.sh's.
set -eu
for place in log cache; do mount --bind "$place" "/var/$place"; done
# A disk of its own for the guests' disks: it can be full without harm to anybody else.
mkdir -p /var/lib/nova/instances
mount -o loop instances.img /var/lib/nova/instances
chown nova: /var/lib/nova/instances
# The services' Python packages: seen by every user of the host, and read-only.
mount -t tmpfs -o mode=755 tmpfs /opt
mkdir /opt/nova
mount --bind site /opt/nova
mount -o remount,bind,ro /opt/nova
# A view of the kernel's devices with this host's network interfaces: libvirt and Nova look for them there.
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
exec /bin/sh boot.sh "$@"
