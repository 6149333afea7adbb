#!/bin/sh
# Record what a guest reads of its disk while it boots: one line a read, `milliseconds offset length`, in order.
#
# Usage: record.sh IMAGE KERNEL INITRD >TRACE. Needs nbdkit and qemu-system-x86 (emulated, so no /dev/kvm). The guest must power
# off by itself when it is up, for example by a unit after multi-user.target; nothing is written to IMAGE. The traces here:
#
#   debian-12-ext4           Debian 12 with systemd, sshd, nginx, cron and rsyslog, made by debootstrap and mkfs.ext4 -d
#   debian-12-xfs            the same files, copied onto XFS
#   debian-12-ext4-programs  the first, and then python3, perl, git, dpkg, find and grep over what is installed
set -eu
image=$(realpath "$1") kernel=$2 initrd=$3
work=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || :; rm -rf "$work"' EXIT

# The log is above the overlay that takes what the guest writes: it shows what the guest asked for, not what the overlay reads.
nbdkit -f -U "$work/socket" --filter=log --filter=cow file "$image" logfile="$work/log" &
server=$!
while [ ! -S "$work/socket" ]; do sleep 0.1; done

qemu-system-x86_64 -accel tcg -smp 2 -m 768 -nographic -no-reboot -net none -kernel "$kernel" -initrd "$initrd" \
  -append 'console=ttyS0 root=/dev/vda rw quiet no_timer_check' \
  -drive "file=nbd:unix:$work/socket,format=raw,if=virtio,cache=none" </dev/null >&2

# 2026-11-20 15:31:25.703332 connection=1 Read id=1 offset=0x0 count=0x10000 ...
awk '
  / Read id=/ {
    split($2, clock, ":")
    ms = (clock[1] * 3600 + clock[2] * 60 + clock[3]) * 1000
    if (!begun++) first = ms
    for (k = 1; k <= NF; k++) { split($k, pair, "="); value[pair[1]] = pair[2] }
    print int((ms - first + 86400000) % 86400000), value["offset"], value["count"]
  }' "$work/log" | while read -r ms offset length; do echo "$ms $((offset)) $((length))"; done
