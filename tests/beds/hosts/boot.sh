#!/bin/sh
# Ends as systemd, first process of a host that has its files and network (init.sh): the rest of what it must not share.
# Its working directory is the host's. Argument: the name of its control group.
set -eu
group=$1
mount --bind units /etc/systemd/system # what is enabled on this machine is not enabled there
for place in disks/*; do # of its own, not an overlay: podman and docker lay overlays there, which cannot lie on one
    [ -d "$place" ] || continue
    mkdir -p "/var/lib/${place#disks/}"
    mount --bind "$place" "/var/lib/${place#disks/}"
done
for place in /etc/init.d /usr/local; do mount -t tmpfs -o mode=755 tmpfs "$place"; done
mount -t tmpfs -o mode=755 tmpfs /mnt
for device in null zero full random urandom tty; do
    : >"/mnt/$device"
    mount --bind "/dev/$device" "/mnt/$device"
done
mkdir /mnt/pts /mnt/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts /mnt/pts
ln -s pts/ptmx /mnt/ptmx
ln -s /proc/self/fd /mnt/fd
mount -t tmpfs tmpfs /mnt/shm
mount --move /mnt /dev
# The kernel's settings are this machine's: to be read only.
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount -t cgroup2 cgroup2 /mnt
mkdir -p "/mnt/$group"
echo $$ >"/mnt/$group/cgroup.procs"
umount /mnt
# shellcheck disable=SC2016 # for the inner shell
exec unshare --cgroup /bin/sh -euc '
umount --recursive /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -o remount,bind,ro /sys
cd /
exec env -i container=quiesce PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd'
