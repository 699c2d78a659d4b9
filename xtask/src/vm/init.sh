#!/bin/busybox sh
# First program of the machine, in the initial root file system: mounts the root file
# system of the host, read-only below a layer of its own, and goes on in there.
b=/bin/busybox
fail() {
    echo "vm-test: $*" >/dev/console
    $b poweroff -f
}
$b mount -t proc proc /proc && $b mount -t sysfs sysfs /sys && $b mount -t devtmpfs devtmpfs /dev ||
    fail "no kernel file systems"
. /vm/settings
while read -r module; do
    $b insmod "/modules/$module" || fail "module $module can not be loaded"
done </modules/order
$b mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose host /shared ||
    fail "the root file system of the host can not be mounted"
$b mount -t tmpfs -o size=75% tmpfs /changes && $b mkdir /changes/upper /changes/work &&
    $b mount -t overlay -o lowerdir=/shared,upperdir=/changes/upper,workdir=/changes/work overlay /root ||
    fail "nothing can be laid over the root file system"
for directory in proc sys dev run tmp; do
    $b mkdir -p "/root/$directory"
done
for directory in proc sys dev; do
    $b mount --move "/$directory" "/root/$directory" || fail "$directory can not be moved"
done
$b mount -t tmpfs -o mode=755 tmpfs /root/run && $b mkdir /root/run/vm &&
    $b cp /vm/* /bin/busybox /root/run/vm/ || fail "no files for the next step"
exec $b switch_root /root /run/vm/busybox sh /run/vm/guest.sh
fail "the next step can not be started"
