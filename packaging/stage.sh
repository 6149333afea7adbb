#!/bin/sh
# Puts the program with everything that it needs at run time below a directory: dist/, the page, the addon, the npm
# packages without their tests and papers, and Node.js as bin/node. Needs "make build"; ADDONS= is another directory of
# addons than its own. Nothing of it is compiled on the target.
# Usage: stage.sh DIRECTORY x64|arm64
set -eu
cd "$(dirname "$0")/.."
to=$1
cpu=$2
here=$(node -p process.arch)
runtime=$(sh packaging/node-runtime.sh "$cpu")
strip=strip
[ "$here" = "$cpu" ] || strip=aarch64-linux-gnu-strip

# The files whose names come in, with their directories, to another place.
copy() { tar --null --files-from=- -cf - | tar -xf - -C "$1"; }

mkdir -p "$to/bin" "$to/native-bindings/build" "$to/node_modules"
$strip --strip-unneeded -o "$to/bin/node" "$runtime/bin/node"
chmod 755 "$to/bin/node"
cp package.json "$to/"
cp -R web "$to/"
mkdir "$to/dist"
(cd dist && find . -name '*.js' -print0 | copy "$to/dist")
for addon in "${ADDONS:-native-bindings/build}"/*.node; do $strip --strip-unneeded -o "$to/native-bindings/build/$(basename "$addon")" "$addon"; done

# The closure of what package.json depends on. fuse-native needs libfuse 2 and a place of its own: it is left to npm.
left='^(fuse-native|fuse-shared-library[a-z-]*|nanoresource|napi-macros|node-api-headers|node-addon-api|node-gyp-build)$'
top=$(cd node_modules && pwd -P)
# Binaries of another processor come from npm, in the version and with the integrity of the lockfile.
elsewhere() {
  # shellcheck disable=SC2046  # two words
  sh packaging/npm-archive.sh "$1" $(node -p "
    const { version, integrity } = require('./package-lock.json').packages['node_modules/$1'];
    version + ' ' + integrity")
}
npm ls --omit=dev --all --parseable 2>/dev/null | sed -n 's#^.*/node_modules/#&#p' | while read -r path; do
  from=$(cd "$path" 2>/dev/null && pwd -P) || continue
  below=${from#"$top"/}
  ! echo "$below" | grep -qE "$left" || continue
  case $below in
  *"-linux-$here")
    if [ "$here" != "$cpu" ]; then
      below=${below%"$here"}$cpu
      from=$(elsewhere "$below")
    fi
    ;;
  esac
  mkdir -p "$to/node_modules/$below"
  (cd "$from" && find . -type f \( -name '*.js' -o -name '*.cjs' -o -name '*.mjs' -o -name '*.json' -o -name '*.node' -o -name '*.wasm' \) \
    ! -path '*/test/*' ! -path '*/tests/*' ! -path '*/bench*/*' ! -path '*/example*/*' ! -path '*/docs/*' ! -path '*/.github/*' \
    ! -path '*/build/*' ! -path '*musl*' ! -name '.*' ! -name 'tsconfig*.json' -print0 | copy "$to/node_modules/$below")
done
# They are started as arguments of Node.js: nobody reads the first line.
find "$to/dist" "$to/node_modules" -type f \( -name '*.js' -o -name '*.mjs' -o -name '*.cjs' \) -exec sed -i '1s/^#!.*//' {} +
find "$to/node_modules" -type f -name '*.node' -exec "$strip" --strip-unneeded {} \;
find "$to" -type d -exec chmod 755 {} +
find "$to" -type f ! -path "$to/bin/*" -exec chmod 644 {} +
chmod 755 "$to"
