#!/bin/sh
# A golden image and its next version, for bench/golden-image.ts: Debian 12 as it was released, and the same file system
# after `apt-get upgrade` and one package more. Needs root, mmdebstrap, e2fsprogs and Debian's mirrors.
# Usage: build.sh DIRECTORY: makes before.raw and after.raw there. base.tar there is used again.
set -eu
directory=$1
mirror=http://deb.debian.org
packages=apt,ca-certificates,systemd-sysv,openssh-server,python3-minimal,curl,vim-tiny
cd "$directory"

if [ ! -e base.tar ]; then
  mmdebstrap --quiet --format=tar --variant=minbase --include=$packages \
    --aptopt='APT::Install-Recommends "false"' bookworm base.tar.new "deb $mirror/debian bookworm main"
  mv base.tar.new base.tar
fi

# What is mounted goes with the namespace.
in_image() {
  unshare --mount --pid --fork --kill-child --propagation private -- sh -eu -c '
    root=$(mktemp -d)
    mount -o loop "$1" "$root"
    . "$2"
    sync
    umount -R "$root"
    rmdir "$root"' sh "$PWD/$1" "$PWD/$2"
}

truncate -s 1536M before.raw
mkfs.ext4 -q -F -U 6b1f3300-d2c9-4e5d-8f3c-7a5d6a0e9b41 -E lazy_itable_init=0 before.raw
cat >fill.sh <<'EOF'
tar -xf base.tar -C "$root" --numeric-owner --exclude='./dev/*'
EOF
in_image before.raw fill.sh

cp --sparse=always before.raw after.raw
cat >upgrade.sh <<EOF
mount -t proc proc "\$root/proc"
mount --rbind /dev "\$root/dev"
mount -t tmpfs tmpfs "\$root/run"
mount -t tmpfs tmpfs "\$root/tmp"
chmod 1777 "\$root/tmp"
cp /etc/resolv.conf "\$root/run/resolv.conf"
ln -sf /run/resolv.conf "\$root/etc/resolv.conf"
echo "deb $mirror/debian bookworm-updates main" >>"\$root/etc/apt/sources.list"
echo "deb $mirror/debian-security bookworm-security main" >>"\$root/etc/apt/sources.list"
printf '#!/bin/sh\nexit 101\n' >"\$root/usr/sbin/policy-rc.d"
chmod 755 "\$root/usr/sbin/policy-rc.d"
chroot "\$root" sh -euc 'export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin
  apt-get -qq update
  apt-get -qq -y upgrade
  apt-get -qq -y install --no-install-recommends htop
  apt-get -qq clean'
EOF
in_image after.raw upgrade.sh >upgrade.log 2>&1 || { tail -20 upgrade.log >&2; exit 1; }
grep -c '^Unpacking' upgrade.log | sed 's/$/ packages were unpacked by the upgrade/'
