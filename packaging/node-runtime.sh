#!/bin/sh
# Brings the Node.js of packaging/node-runtime by npm, and prints the directory that has bin/node and LICENSE.
# Usage: node-runtime.sh x64|arm64
set -eu
cd "$(dirname "$0")"
# shellcheck disable=SC2046  # a line is the three arguments
exec sh npm-archive.sh $(grep "^node-linux-$1 " node-runtime)
