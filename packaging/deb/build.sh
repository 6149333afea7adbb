#!/bin/sh
# Makes packages/parentfs_VERSION_ARCH.deb of the tree as it is built. ARCH= is the processor (this machine's): "make deb
# ARCH=arm64" makes it elsewhere. VERSION= gives it another version, TO= another place, ADDONS= addons of another directory,
# COMPRESSION= other arguments of dpkg-deb than its own ("-Znone": quick and large).
set -eu
cd "$(dirname "$0")/../.."
umask 022
here=$(dpkg --print-architecture)
arch=${ARCH:-$here}
case $here-$arch in
amd64-amd64) node=x64 binutils=binutils ADDONS=${ADDONS:-native-bindings/build} ;;
arm64-arm64) node=arm64 binutils=binutils ADDONS=${ADDONS:-native-bindings/build} ;;
amd64-arm64) node=arm64 binutils=g++-aarch64-linux-gnu ADDONS=${ADDONS:-native-bindings/build/arm64} ;;
*) echo "make deb: $arch cannot be made on $here: amd64 and arm64 make their own, and amd64 makes arm64" >&2; exit 1 ;;
esac
export ADDONS
for tool in scdoc readelf $([ "$here" = "$arch" ] || echo aarch64-linux-gnu-strip); do
  command -v "$tool" >/dev/null || { echo "make deb: $tool is missing: apt-get install scdoc binutils $binutils" >&2; exit 1; }
done
version=${VERSION:-$(sed -n 's/^  "version": "\(.*\)",$/\1/p' package.json)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
root=$work/root
lib=$root/usr/lib/parentfs
mkdir -p "$lib" "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib/systemd/system" "$root/etc/parentfs" "$root/DEBIAN"
sh packaging/stage.sh "$lib" "$node"
[ -z "${VERSION:-}" ] || sed -i "s/^  \"version\": .*/  \"version\": \"$version\",/" "$lib/package.json"

# The inspector's address: see src/base/no-inspector.ts.
wrapper() {
  printf '#!/bin/sh\nexec /usr/lib/parentfs/bin/node "--inspect-port=[fe80::1]:9229" /usr/lib/parentfs/dist/cli/%s "$@"\n' "$1"
}
wrapper main.js >"$root/usr/bin/parentfs"
wrapper mount-helper-main.js >"$root/usr/sbin/mount.parentfs"
chmod 755 "$root/usr/bin/parentfs" "$root/usr/sbin/mount.parentfs"
cp systemd/parentfs@.service "$root/usr/lib/systemd/system/"
cp packaging/example.yaml "$root/etc/parentfs/example.yaml"

for page in dist/man/*; do
  section=${page##*.}
  mkdir -p "$root/usr/share/man/man$section"
  gzip -9nc "$page" >"$root/usr/share/man/man$section/$(basename "$page").gz"
done
completion() { mkdir -p "$(dirname "$root/usr/share/$2")"; node dist/cli/main.js completion "$1" >"$root/usr/share/$2"; }
completion bash bash-completion/completions/parentfs
completion zsh zsh/vendor-completions/_parentfs
completion fish fish/vendor_completions.d/parentfs.fish

doc=$root/usr/share/doc/parentfs
mkdir -p "$doc/examples"
gzip -9nc CHANGELOG.md >"$doc/CHANGELOG.md.gz"
when=$(git log -1 --format=%cD 2>/dev/null || date -R)
printf 'parentfs (%s) unstable; urgency=medium\n\n  * CHANGELOG.md.gz has the changes.\n\n -- %s  %s\n' \
  "$version" "$(sed -n 's/^Maintainer: //p' packaging/deb/control)" "$when" | gzip -9nc >"$doc/changelog.gz"
# The pages that messages, settings and each other name; not those about the development.
mkdir -p "$doc/guides"
for page in docs/*.md; do
  case $page in docs/ARCHITECTURE.md | docs/PERFORMANCE-LOG.md) ;; *) cp "$page" "$doc/" ;; esac
done
cp docs/guides/*.md "$doc/guides/"
cp docs/prometheus/parentfs.rules.yml docs/grafana/parentfs.json "$doc/examples/"
sh packaging/deb/copyright.sh "$lib" >"$doc/copyright"
sh packaging/deb/notices.sh "$(sh packaging/node-runtime.sh "$node")" "$lib" | gzip -9nc >"$doc/NOTICES.gz"
mkdir -p "$root/usr/share/lintian/overrides"
cp packaging/deb/lintian-overrides "$root/usr/share/lintian/overrides/parentfs"

needs=$(sh packaging/deb/needs.sh "$lib/bin/node" "$lib"/native-bindings/build/*.node)
size=$(du -sk --exclude=DEBIAN "$root" | cut -f1)
sed -e "s/@VERSION@/$version/" -e "s/@ARCH@/$arch/" -e "s/@SIZE@/$size/" -e "s/@NEEDS@/$needs/" packaging/deb/control >"$root/DEBIAN/control"
printf '/etc/parentfs/example.yaml\n' >"$root/DEBIAN/conffiles"
for script in postinst prerm postrm; do
  cp "packaging/deb/$script" "$root/DEBIAN/$script"
  chmod 755 "$root/DEBIAN/$script"
done
(cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' md5sum >DEBIAN/md5sums)
to=${TO:-packages}
mkdir -p "$to"
# shellcheck disable=SC2086  # a list of arguments, on purpose
dpkg-deb --root-owner-group ${COMPRESSION:--Zxz -z6} --build "$root" "$to/parentfs_${version}_$arch.deb" >/dev/null
echo "$to/parentfs_${version}_$arch.deb"
