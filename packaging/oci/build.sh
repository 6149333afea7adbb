#!/bin/sh
# Makes packages/parentfs_VERSION_ARCH.oci.tar, an OCI image of a minimal Debian 13 with the package. PACKAGE= is the
# package (the newest of packages/), ROOT= a tar of a bare Debian 13 in place of one from mmdebstrap, TO= the file.
set -eu
cd "$(dirname "$0")/../.."
for tool in podman chroot; do
  command -v "$tool" >/dev/null || { echo "make image: $tool is missing: apt-get install podman" >&2; exit 1; }
done
package=${PACKAGE:-$(ls -t packages/parentfs_*_"$(dpkg --print-architecture)".deb | head -1)}
to=${TO:-${package%.deb}.oci.tar}
version=$(dpkg-deb -f "$package" Version)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "${ROOT:-}" ]; then
  ROOT=$work/root.tar
  mmdebstrap --quiet --variant=minbase --include=fuse3,libatomic1,libstdc++6,ca-certificates trixie "$ROOT"
fi
mkdir "$work/root"
tar -xf "$ROOT" -C "$work/root" --numeric-owner --exclude='./dev/*'
cp "$package" "$work/root/tmp/parentfs.deb"
chroot "$work/root" dpkg -i /tmp/parentfs.deb >/dev/null
rm -rf "$work/root/tmp/parentfs.deb" "$work/root/var/lib/apt/lists" "$work/root/usr/share/doc" "$work/root/usr/share/man" "$work/root/usr/share/locale"
mkdir -p "$work/root/var/lib/apt/lists"
# A storage of its own: nothing is left in that of this machine.
pod() { podman --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@" 2>/dev/null; }
tar -cf - -C "$work/root" --numeric-owner . | pod import --change 'ENTRYPOINT ["/usr/bin/parentfs"]' \
  --change 'CMD ["mount","--config","/etc/parentfs/parents.yaml"]' --change 'VOLUME ["/var/cache/parentfs"]' \
  --change "LABEL org.opencontainers.image.version=$version" --change 'STOPSIGNAL SIGTERM' - "localhost/parentfs:$version" >/dev/null
rm -f "$to"
pod save --quiet --format oci-archive -o "$to" "localhost/parentfs:$version" >/dev/null
echo "$to"
