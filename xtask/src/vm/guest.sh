# Second step, with the root file system of the host in place: what a running system
# has mounted, modules of the running kernel, and then the tests.
b=/run/vm/busybox
. /run/vm/settings
export PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$HOST_PATH"
export HOME=/root TERM=dumb LANG=C.UTF-8
exec </dev/null >/dev/console 2>&1
$b mkdir -p /dev/pts /dev/shm
$b mount -t devpts -o ptmxmode=666 devpts /dev/pts
$b mount -t tmpfs tmpfs /dev/shm
$b ln -s /proc/self/fd /dev/fd
for number in 0:stdin 1:stdout 2:stderr; do
    $b ln -s "/proc/self/fd/${number%:*}" "/dev/${number#*:}"
done
# The agent wants it, as systemd mounts it.
$b mount -t bpf bpf /sys/fs/bpf
$b mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
$b mount -t tracefs tracefs /sys/kernel/tracing
$b mkdir -p /run/netns "/lib/modules/$RELEASE"
$b mount --bind "$MODULES" "/lib/modules/$RELEASE"
# Programs and the kernel itself load modules by these names. A host without modules,
# such as a container, may lack them. Not in /run, which labs have their own of.
kmod=/usr/lib/vm-test
for program in modprobe insmod rmmod lsmod modinfo depmod; do
    [ -e "/usr/sbin/$program" ] || [ -e "/sbin/$program" ] || {
        $b mkdir -p "$kmod"
        $b ln -s "$KMOD" "$kmod/$program"
        printf '#!/bin/sh\nLD_LIBRARY_PATH="%s${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" exec %s "$@"\n' \
            "$LIBRARIES" "$kmod/$program" >"/usr/sbin/$program"
        $b chmod 755 "/usr/sbin/$program"
    }
done
[ -e /sbin/modprobe ] && echo /sbin/modprobe >/proc/sys/kernel/modprobe
[ -e /usr/sbin/modprobe ] && echo /usr/sbin/modprobe >/proc/sys/kernel/modprobe
$b hostname vm-test
$b ip link set lo up
"$XTASK" vm-guest /run/vm/plan.json
echo "vm-test: the tests ended with $?"
$b poweroff -f
