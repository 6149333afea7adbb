#!/bin/sh
# Prints debian/copyright: our licence, and those that what is brought along names. Their texts are in NOTICES.gz.
# Usage: copyright.sh LIB
set -eu
cd "$(dirname "$0")/../.."
echo 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/'
echo 'Upstream-Name: parentfs'
echo 'Comment: NOTICES.gz beside this file has the text of every licence.'
printf '\nFiles: *\nCopyright: the authors of parentfs\nLicense: MIT\n'
# As a paragraph of a control file: a blank before each line, a dot for an empty one.
sed -e 's/[[:space:]]*$//' -e 's/^$/./' -e 's/^/ /' LICENSE
printf '\nFiles: usr/lib/parentfs/bin/node\nCopyright: the Node.js contributors, and those of its libraries\nLicense: node\n See NOTICES.gz.\n'
cd "$1"
find node_modules -name package.json | LC_ALL=C sort | while read -r manifest; do
  directory=$(dirname "$manifest")
  case ${directory##*node_modules/} in */*/* | [!@]*/*) continue ;; esac
  named=$(sed -n 's/^ *"license": *"\([^"]*\)".*/\1/p' "$manifest" | head -1)
  short=$(echo "$directory" | tr -c 'a-zA-Z0-9.\n' '-' | sed 's/^node-modules-*//')
  printf '\nFiles: usr/lib/parentfs/%s/*\nCopyright: the authors of %s\n' "$directory" "${directory#node_modules/}"
  printf 'License: %s\n %s: see NOTICES.gz.\n' "$short" "${named:-unnamed}"
done
