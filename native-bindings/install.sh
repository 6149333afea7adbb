#!/bin/sh
# What npm runs when the package is installed: compiles the addon for this machine. A checkout has "make build".
set -eu
cd "$(dirname "$0")"
[ ! -d ../src ] || exit 0

missing=""
command -v "${CXX:-g++}" >/dev/null || missing="$missing ${CXX:-g++}"
command -v make >/dev/null || missing="$missing make"
if [ -n "$missing" ]; then
  echo "parentfs: missing$missing: the addon cannot be compiled; install them (apt-get install g++ make) and install again" >&2
  exit 1
fi
# Root mounts by itself; the others find out at their first mount, too.
command -v fusermount3 >/dev/null || echo "parentfs: fusermount3 is missing (apt-get install fuse3): only root can mount" >&2

# They lie beside this package or in it, as npm pleased.
NODE_API_HEADERS=$(node -p "require('node-api-headers').include_dir")
NODE_ADDON_API=$(node -p "require('node-addon-api').include_dir")
export NODE_API_HEADERS NODE_ADDON_API
make --no-print-directory all
rm -rf build/addon
