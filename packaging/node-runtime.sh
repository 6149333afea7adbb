#!/bin/sh
# Brings the Node.js of packaging/node-runtime by npm, compares it with its integrity, and prints the directory that has
# bin/node and LICENSE. Kept below ~/.cache/parentfs-build; nothing is asked where it is there.
# Usage: node-runtime.sh x64|arm64
set -eu
cd "$(dirname "$0")/.."
package="node-linux-$1"
line=$(grep "^$package " packaging/node-runtime)
version=$(echo "$line" | cut -d' ' -f2)
integrity=$(echo "$line" | cut -d' ' -f3)
place="${XDG_CACHE_HOME:-$HOME/.cache}/parentfs-build/$package-$version"
if [ ! -x "$place/bin/node" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  (cd "$work" && npm pack --silent "$package@$version" >/dev/null)
  found="sha512-$(openssl dgst -sha512 -binary "$work"/*.tgz | base64 -w0)"
  [ "$found" = "$integrity" ] || { echo "node-runtime: $package@$version is not what packaging/node-runtime says" >&2; exit 1; }
  tar -xzf "$work"/*.tgz -C "$work" package/bin/node package/LICENSE
  mkdir -p "$(dirname "$place")"
  rm -rf "$place"
  mv "$work/package" "$place"
fi
echo "$place"
