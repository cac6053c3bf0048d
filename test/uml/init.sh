#!/bin/sh
# The first process of a user-mode Linux that borrows its host's files: read-only below, changes in memory above. Runs the
# command in the file named by the kernel argument `sampan_command` on cgroup v2, prints its exit code, and powers off.
/bin/mount -t proc proc /proc
for word in $(cat /proc/cmdline); do
  case $word in
    sampan_modules=*) modules=${word#*=} ;;
    sampan_command=*) command=${word#*=} ;;
  esac
done
end() { echo o >/proc/sysrq-trigger; sleep 60; }
for module in overlay crc-ccitt ipv6 llc stp bridge br_netfilter veth; do
  "$modules/insmod" "$modules/$module.ko" || { echo "uml: no module $module"; end; }
done
/bin/mount -t tmpfs tmpfs /mnt
mkdir -p /mnt/upper /mnt/work /mnt/root
/bin/mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
/bin/mount -t proc proc /mnt/root/proc
/bin/mount -t sysfs sys /mnt/root/sys
/bin/mount -t cgroup2 none /mnt/root/sys/fs/cgroup
echo '+cpu +memory +pids +io' >/mnt/root/sys/fs/cgroup/cgroup.subtree_control
/bin/mount -t devtmpfs dev /mnt/root/dev
mkdir -p /mnt/root/dev/pts /mnt/root/dev/shm
/bin/mount -t devpts devpts /mnt/root/dev/pts
/bin/mount -t tmpfs tmpfs /mnt/root/dev/shm
/bin/mount -t tmpfs tmpfs /mnt/root/run
# Overlays cannot have their upper directory on an overlay: what tests make is in memory.
mkdir -p /mnt/root/run/tmp
cd /mnt/root || end
pivot_root . mnt
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TMPDIR=/run/tmp
/sbin/ip link set lo up 2>/dev/null || ip link set lo up
chroot . /bin/sh "$command"
echo "uml: ended with $?"
end
