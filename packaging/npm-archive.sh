#!/bin/sh
# Brings a package of npm, compares it with its integrity, and prints the directory that has its files. Kept below
# ~/.cache/parentfs-build; nothing is asked where it is there.
# Usage: npm-archive.sh PACKAGE VERSION INTEGRITY
set -eu
place="${XDG_CACHE_HOME:-$HOME/.cache}/parentfs-build/$(echo "$1" | tr -d @ | tr / -)-$2"
if [ ! -d "$place" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  (cd "$work" && npm pack --silent "$1@$2" >/dev/null) ||
    { echo "npm-archive: no registry can be reached, or none has $1@$2" >&2; exit 1; }
  found="sha512-$(openssl dgst -sha512 -binary "$work"/*.tgz | base64 -w0)"
  [ "$found" = "$3" ] || { echo "npm-archive: $1@$2 has the integrity $found, not $3" >&2; exit 1; }
  tar -xzf "$work"/*.tgz -C "$work"
  mkdir -p "$(dirname "$place")"
  mv "$work/package" "$place"
fi
echo "$place"
