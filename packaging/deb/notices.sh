#!/bin/sh
# Prints the licences of Node.js and of the npm packages that are brought along, whole.
# Usage: notices.sh NODE-RUNTIME LIB
set -eu
cd "$(dirname "$0")/../.."
printf '==== Node.js\n\n'
cat "$1/LICENSE"
find "$2/node_modules" -name package.json -printf '%P\n' | LC_ALL=C sort | while read -r manifest; do
  directory=node_modules/$(dirname "$manifest")
  licence=$(find -L "$directory" -maxdepth 1 -iname 'licen[cs]e*' 2>/dev/null | head -1)
  [ -n "$licence" ] || continue
  printf '\n==== %s\n\n' "${directory#node_modules/}"
  cat "$licence"
done
