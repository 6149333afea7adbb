#!/bin/sh
# Puts the program with everything that it needs at run time below a directory: dist/, the page, the addon, the npm
# packages without their tests and papers, and Node.js as bin/node. Needs "make build". Nothing of it is compiled on the target.
# Usage: stage.sh DIRECTORY x64|arm64
set -eu
cd "$(dirname "$0")/.."
to=$1
runtime=$(sh packaging/node-runtime.sh "$2")
strip=strip
[ "$2" = x64 ] || strip=aarch64-linux-gnu-strip
[ "$(uname -m)" != aarch64 ] || strip=strip

# The files whose names come in, with their directories, to another place.
copy() { tar --null --files-from=- -cf - | tar -xf - -C "$1"; }

mkdir -p "$to/bin" "$to/native-bindings/build" "$to/node_modules"
$strip --strip-unneeded -o "$to/bin/node" "$runtime/bin/node"
chmod 755 "$to/bin/node"
cp package.json "$to/"
cp -R web "$to/"
mkdir "$to/dist"
(cd dist && find . -name '*.js' -print0 | copy "$to/dist")
for addon in native-bindings/build/*.node; do $strip --strip-unneeded -o "$to/native-bindings/build/$(basename "$addon")" "$addon"; done

# The closure of what package.json depends on. fuse-native needs libfuse 2 and a place of its own: it is left to npm.
left='^(fuse-native|fuse-shared-library[a-z-]*|nanoresource|napi-macros|node-api-headers|node-addon-api|node-gyp-build)$'
top=$(cd node_modules && pwd -P)
npm ls --omit=dev --all --parseable 2>/dev/null | sed -n 's#^.*/node_modules/#&#p' | while read -r path; do
  real=$(cd "$path" 2>/dev/null && pwd -P) || continue
  below=${real#"$top"/}
  ! echo "$below" | grep -qE "$left" || continue
  (cd "$top" && find "$below" -type f \( -name '*.js' -o -name '*.cjs' -o -name '*.mjs' -o -name '*.json' -o -name '*.node' -o -name '*.wasm' \) \
    ! -path '*/test/*' ! -path '*/tests/*' ! -path '*/bench*/*' ! -path '*/example*/*' ! -path '*/docs/*' ! -path '*/.github/*' \
    ! -path '*/build/*' ! -path '*musl*' ! -name '.*' ! -name 'tsconfig*.json' -print0 | copy "$to/node_modules")
done
# They are started as arguments of Node.js: nobody reads the first line.
find "$to/dist" "$to/node_modules" -type f \( -name '*.js' -o -name '*.mjs' -o -name '*.cjs' \) -exec sed -i '1s/^#!.*//' {} +
find "$to/node_modules" -type f -name '*.node' -exec "$strip" --strip-unneeded {} \;
find "$to" -type d -exec chmod 755 {} +
find "$to" -type f ! -path "$to/bin/*" -exec chmod 644 {} +
chmod 755 "$to"
