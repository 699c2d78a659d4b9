# Boots systemd on a copy of this machine's root, as the first process of new mount, PID,
# cgroup, UTS and IPC namespaces, and with nothing of the machine in sight but devices
# like /dev/null.
#
# $1: directory for all of it, on a tmpfs; $2: a file to be put into the copy, $3: under
# this name.
set -eu

read -r pid rest </proc/self/stat
root=$1/root
mkdir "$root" "$1/upper" "$1/work"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$root"
cp "$2" "$root/$3"
cd "$root"

# Of what is enabled here nothing starts: the journal will do.
rm -rf etc/systemd/system/*.wants etc/systemd/system/*.requires
for unit in usr/lib/systemd/system/*.wants/*; do
    case $unit in
    */systemd-journald*) ;;
    *) rm -f "$unit" ;;
    esac
done
rm -f usr/sbin/policy-rc.d
: >etc/machine-id

mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
# As systemd does where it may write to /sys.
mount -t bpf -o mode=700 bpf sys/fs/bpf
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
    : >"dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=1777 tmpfs dev/shm

echo "$pid" >"$1/pid"
mkdir .outside
pivot_root . .outside
exec chroot . /bin/sh -c '
    umount -l /.outside
    rmdir /.outside
    exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        /lib/systemd/systemd --unit=multi-user.target --log-target=journal --show-status=0'
