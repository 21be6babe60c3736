#!/bin/sh
# boot.sh NAME DISK: becomes process 1 of a test host. Runs in mount, UTS, IPC and pid namespaces of its own, made from
# the fleet's. Must touch nothing outside of DISK and these namespaces.
set -eu
name=$1 disk=$2

# /proc is still the one of the fleet's owner: this is the pid by which the owner knows this process.
read -r pid _ </proc/self/stat
echo "$pid"
exec >&2

hostname "$name"
cd "$disk" # relative paths: an overlay option cannot hold a comma or a colon
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root
cd root
mount -t proc -o nosuid,nodev,noexec proc proc
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs sys
mount --rbind /dev dev
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs dev/shm
mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs run
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs tmp
mkdir -m 0755 run/sshd
mkdir -m 1777 run/lock

# A boot that its programs can tell from the one before.
cat proc/sys/kernel/random/uuid >run/boot_id
mount --bind run/boot_id proc/sys/kernel/random/boot_id

pivot_root . mnt
umount -l /mnt
cd /
exec /usr/sbin/sshd -D -e -f /etc/ssh/sshd_config
