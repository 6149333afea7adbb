#!/bin/sh
# Prints the Debian packages that binaries of either processor need, for Depends: those of the libraries that they name,
# in the release that has the newest of the symbols that they use.
# Source: deb-shlibs(5), and the symbols files of libc6, libgcc-s1 and libstdc++6.
# Usage: needs.sh FILE...
set -eu
headers=$(LC_ALL=C readelf --wide --dynamic --version-info "$@")

# The newest version of a family of symbols.
newest() { echo "$headers" | sed -n "s/.* Name: $1_\([0-9.]*\) .*/\1/p" | sort -Vu | tail -n 1; }

needs=
for library in $(echo "$headers" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u); do
  case $library in
  lib[cm].so.6 | libdl.so.2 | libpthread.so.0 | librt.so.1 | ld-linux*) need="libc6 (>= $(newest GLIBC))" ;;
  libgcc_s.so.1) need="libgcc-s1 (>= $(newest GCC))" ;;
  libstdc++.so.6)
    case $(newest GLIBCXX) in
    3.4.30) release=12 ;;
    3.4.31) release=13 ;;
    3.4.32) release=13.2 ;;
    3.4.33) release=14 ;;
    3.4.34) release=15 ;;
    3.4.[0-9] | 3.4.[12][0-9]) release=11 ;;
    *) echo "needs.sh: no release of libstdc++6 is known here for GLIBCXX_$(newest GLIBCXX)" >&2; exit 1 ;;
    esac
    need="libstdc++6 (>= $release)"
    ;;
  libatomic.so.1) need=libatomic1 ;;
  *) echo "needs.sh: $library is of no package that is known here" >&2; exit 1 ;;
  esac
  case ", $needs, " in *", $need, "*) ;; *) needs="${needs:+$needs, }$need" ;; esac
done
echo "$needs"
