#!/bin/sh
# Install what parentfs needs: Debian packages (as root) and node_modules. Does nothing where nothing is missing.
# Usage: setup.sh run|test|bench. Without root it says what is missing and goes on.
set -eu
cd "$(dirname "$0")/.."

packages="g++ make fuse3"
if [ "${1:-run}" != run ]; then
  packages="$packages fio qemu-utils nginx-light etcd-server etcd-client xfsprogs scdoc zsh fish systemd nbdkit libnbd-bin openssl xz-utils zstd iproute2 faketime"
  packages="$packages ceph-mon ceph-mgr ceph-osd ceph-common radosgw qemu-system-x86 busybox-static"
  packages="$packages g++-aarch64-linux-gnu qemu-user musl-dev"
  packages="$packages cryptsetup-bin docker-registry swift-account swift-container swift-object swift-proxy memcached keystone glance-api"
  packages="$packages chromium"
  packages="$packages libvirt-daemon-system libvirt-clients syslinux mtools"
  packages="$packages mmdebstrap lintian podman crun prometheus binutils dpkg-dev"
fi
if [ "${1:-run}" = bench ]; then packages="$packages rclone s3fs qemu-block-extra qemu-system-common curl zsync casync"; fi

say() { echo "setup: $*" >&2; }

# A mirror may fail once, and another apt may be at work. Source: apt.conf(5), apt-get(8).
apt="apt-get -qq -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300"

if ! command -v node >/dev/null; then
  say "Node.js is missing: install 20 or newer, with npm, and try again"
  exit 1
fi
if ! node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)'; then
  say "Node.js $(node --version) is too old: 20 or newer is needed"
  exit 1
fi

missing=""
for package in $packages; do
  if ! dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$'; then
    missing="$missing $package"
  fi
done
if [ -n "$missing" ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing$missing"
    # Tests start servers by themselves: none is to run because it was installed. Source: invoke-rc.d(8).
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
      trap 'rm -f "$policy"' EXIT
      printf '#!/bin/sh\nexit 101\n' >"$policy"
      chmod 755 "$policy"
    fi
    # shellcheck disable=SC2086  # lists of words, on purpose
    $apt update
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive $apt install -y --no-install-recommends $missing >/dev/null
  else
    say "missing Debian packages:$missing (as root: apt-get install$missing); going on without them"
  fi
fi

# A kernel for the virtual machine of test/mount/guest.ts. Unpacked, not installed: this machine is not to boot it.
guest="${XDG_CACHE_HOME:-$HOME/.cache}/parentfs-test/guest"
if [ "${1:-run}" != run ] && [ ! -e "$guest/vmlinuz" ] && command -v apt-get >/dev/null; then
  kernel=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/^ *Depends: //p')
  unpacked=$(mktemp -d)
  say "unpacking ${kernel:-no kernel} in $guest"
  # shellcheck disable=SC2086
  if (cd "$unpacked" && $apt download "$kernel" 2>/dev/null && dpkg-deb -x ./*.deb .); then
    mkdir -p "$guest"
    find "$unpacked/lib/modules" -name 'virtio*.ko' -exec cp {} "$guest" \;
    cp "$unpacked"/boot/vmlinuz-* "$guest/vmlinuz"
  else
    say "there is none: going on without a virtual machine"
  fi
  rm -rf "$unpacked"
fi

# A linked node_modules belongs to somebody else.
if [ -L node_modules ]; then
  :
elif [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  say "npm ci"
  # fuse-native's install script tries its prebuilt addon, which finds its libfuse only the way we load it, and would then compile
  # one, for which it downloads Node's headers. This tells it that all is well. Source: node-gyp-build 4.8.4, build-test.js.
  FUSE_NATIVE=1 npm ci --no-audit --no-fund --loglevel=error
  touch node_modules/.package-lock.json
fi
