#!/bin/sh
# The first process of a host: gives it its own files and network, then waits and reaps, or becomes another program.
# Arguments: directory of the host, its name, prefix of sshd and sudo, address with prefix length or "-", [program …].
set -eu
dir=$1 name=$2 programs=$3 address=$4
shift 4
cd "$dir" # its files stay within reach when mounts hide the way to them
mount --make-rprivate /
hostname "$name"
mount -t overlay -o "lowerdir=$programs/usr:/usr,upperdir=$dir/usr,workdir=$dir/work-usr" overlay /usr
mount -t overlay -o "lowerdir=$programs/etc:/etc,upperdir=$dir/etc,workdir=$dir/work-etc" overlay /etc
mount -t overlay -o "lowerdir=/var/lib,upperdir=$dir/lib,workdir=$dir/work-lib" overlay /var/lib
for place in /run /tmp /home; do mount -t tmpfs -o mode=755 tmpfs "$place"; done
chmod 1777 /tmp
mkdir -p /run/sshd /run/lock /home/admin/.ssh
cp login_key.pub /home/admin/.ssh/authorized_keys
chown -R admin: /home/admin
mount --bind root /root
if [ "$address" != - ]; then
    ip link set lo up
    until ip link show eth0 >/dev/null 2>&1; do sleep 0.02; done
    ip address add "$address" dev eth0
    ip link set eth0 up
fi
[ $# = 0 ] || exec "$@"
cd /
/usr/sbin/sshd -f /etc/ssh/sshd_config -E /run/sshd.log
: >/run/ready
while :; do
    sleep 3600 &
    wait $! || :
done
