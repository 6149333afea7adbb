#!/bin/sh
# Run the checks that depend on Node.js with each version that parentfs is made for: one line each, and the log beside it.
# Usage: nodes.sh [MAJOR...]. npm brings each version, with its sum checked, into a directory of our own. After `make build build/.built`.
set -u
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- 20 22 24 26
# A check runs the program as another user, who may not look into root's home.
cache="${XDG_CACHE_HOME:-$HOME/.cache}"
[ "$(id -u)" != 0 ] || cache=/usr/local/lib
package="node-linux-$(node -p process.arch)"
failed=0
for major in "$@"; do
  nodes="$cache/parentfs-test/nodes/$major"
  bin="$nodes/node_modules/$package/bin"
  mkdir -p "$nodes"
  if ! npm install --prefix "$nodes" --ignore-scripts --no-save --loglevel=error "$package@$major" >/dev/null; then
    if [ -x "$bin/node" ]; then
      echo "# npm did not bring Node.js $major: going on with the one that is there"
    else
      echo "Node.js $major: 0 passed, 1 failed, 0 skipped: npm did not bring it"
      failed=1
      continue
    fi
  fi
  PATH="$bin:$PATH" node build/test/run.js --of-node >"$nodes/log" 2>&1 || failed=1
  grep '^# failed: ' "$nodes/log"
  echo "Node.js $("$bin/node" --version) ($("$bin/node" -p '`OpenSSL ${process.versions.openssl}`')): $(tail -n 1 "$nodes/log") ($nodes/log)"
done
exit $failed
