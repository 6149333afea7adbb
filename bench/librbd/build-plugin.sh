#!/bin/sh
# Real librbd with its parent_cache plugin, in a chroot: build-plugin.sh DIRECTORY
#
# Debian's packages of librbd have no parent_cache plugin. Its sources are in Debian's source package of Ceph. The
# plugin needs of librbd only what librbd hands to it, so its four files are compiled against the headers of the same
# version, without the rest of Ceph. The headers want acconfig.h and the list of options, which Ceph's build makes:
# their entries set the layout of classes, so they are made from the same sources. Needs root and mmdebstrap.
set -eu
top=$1
suite=${SUITE:-trixie}
mirror=${MIRROR:-$(sed -n 's/^URIs: *\([^ ]*debian\) *$/\1/p; s/^deb \([^ ]*debian\/\{0,1\}\) .*/\1/p' \
  /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null | head -1)}
plugin=usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)/ceph/librbd/libceph_librbd_parent_cache.so
[ -e "$top/$plugin" ] && exit 0
echo "librbd and its plugin of $suite are made in $top: some minutes, 2 GiB"
packages=librbd1,librados2,ceph-common,python3-rbd,python3-yaml,python3-jinja2,g++,make,patch,xz-utils,ca-certificates
headers=libboost-dev,libboost-context-dev,libboost-coroutine-dev,libboost-system-dev,libboost-thread-dev
headers=$headers,libboost-date-time-dev,libboost-random-dev,libfmt-dev,librados-dev,libradospp-dev,librbd-dev
headers=$headers,libxxhash-dev,rapidjson-dev,libaio-dev,liburing-dev,libssl-dev,zlib1g-dev
rm -rf "$top"
nice -n 5 mmdebstrap --quiet --variant=apt --include="$packages,$headers" "$suite" "$top" \
  "deb $mirror $suite main" "deb-src $mirror $suite main"
cat > "$top/root/plugin.sh" <<'IN_CHROOT'
set -eu
cd /root
apt-get update -q >/dev/null
# apt compares each file with its list. The .dsc, which mirrors may lack, is not needed.
apt-get source -q --download-only ceph >/dev/null || ls ceph_*.orig.tar.* ceph_*.debian.tar.* >/dev/null
mkdir src && cd src
tar -xf ../ceph_*.orig.tar.* --strip-components=1
tar -xf ../ceph_*.debian.tar.*
for patch in $(grep -v '^#' debian/patches/series); do patch -s -p1 < "debian/patches/$patch"; done
release=$(dpkg-query -W -f '${Version}' librbd1 | sed 's/[+-].*//')
mkdir -p gen/common/options out
# What cmake finds on Linux with glibc. Source: src/include/config-h.in.cmake.
{
  echo '#pragma once'
  for have in CEPH_HAVE_FALLOCATE HAVE_POSIX_FADVISE HAVE_POSIX_FALLOCATE HAVE_SYS_SYNCFS HAVE_SYNC_FILE_RANGE \
    HAVE_MALLINFO HAVE_PWRITEV HAVE_SYS_MOUNT_H HAVE_SYS_PARAM_H HAVE_SYS_TYPES_H HAVE_SYS_VFS_H HAVE_EXECINFO_H \
    HAVE___S16 HAVE___S32 HAVE___S64 HAVE___S8 HAVE___U16 HAVE___U32 HAVE___U64 HAVE___U8 HAVE_IN_ADDR_T \
    HAVE_SUSECONDS_T HAVE_RES_NQUERY HAVE_LIBAIO HAVE_LIBURING WITH_RBD HAVE_THREAD_SAFE_RES_QUERY \
    HAVE_REENTRANT_STRSIGNAL CEPH_HAVE_SPLICE HAVE_GETGROUPLIST HAVE_FDATASYNC HAVE_SYS_PRCTL_H HAVE_LINUX_TYPES_H \
    HAVE_LINUX_VERSION_H HAVE_SCHED HAVE_SIGDESCR_NP HAVE_PIPE2 HAVE_PTHREAD_SPINLOCK HAVE_NAME_TO_HANDLE_AT \
    STRERROR_R_CHAR_P HAVE_FUNC HAVE_PRETTY_FUNC HAVE_ATTR_SYMVER HAVE_ASM_SYMVER HAVE_EVENTFD \
    HAVE_STAT_ST_MTIM_TV_NSEC HAVE_STATIC_CAST HAVE_PTHREAD_SETNAME_NP HAVE_PTHREAD_RWLOCKATTR_SETKIND_NP \
    HAVE_PTHREAD_GETNAME_NP CEPH_LITTLE_ENDIAN HAVE_GETENTROPY HAVE_STDLIB_MAP_SPLICING HAVE_LIBCRYPTSETUP \
    WITH_BLUESTORE WITH_CEPHFS WITH_RADOSGW WITH_RBD_RWL WITH_RBD_SSD_CACHE; do echo "#define $have 1"; done
  if [ "$(dpkg --print-architecture)" = amd64 ]; then printf '#define HAVE_SSE 1\n#define HAVE_SSE2 1\n'; fi
  echo "#define PROJECT_VERSION \"$release\""
  echo '#define CMAKE_SHARED_LIBRARY_SUFFIX ".so"'
  echo '#define MGR_PYTHON_EXECUTABLE "/usr/bin/python3"'
  echo '#define CMAKE_INSTALL_LIBEXECDIR "/usr/lib"'
} > gen/acconfig.h
# librbd compares it with its own: as in src/ceph_ver.h.in.cmake of a build outside git.
printf '#pragma once\n#define CEPH_GIT_VER no_version\n#define CEPH_GIT_NICE_VER "%s"\n' "$release" > gen/ceph_ver.h
for options in src/common/options/*.yaml.in; do
  name=$(basename "$options" .yaml.in)
  sed -e 's/@ms_bind_[a-z_]*@/3/' -e 's/@[A-Za-z_]*@/x/g' "$options" > "gen/$name.yaml"
  python3 src/common/options/y2c.py -i "gen/$name.yaml" -o "gen/$name.cc" \
    --legacy "gen/common/options/${name}_legacy_options.h" --name "$name"
done
for file in librbd/plugin/ParentCache librbd/cache/ParentCacheObjectDispatch tools/immutable_object_cache/CacheClient \
  tools/immutable_object_cache/Types neorados/RADOS; do
  echo "  CXX  $file.cc"
  nice -n 5 g++ -std=c++20 -O1 -fPIC -w -fpermissive -ffunction-sections -fdata-sections -DNDEBUG -D_FILE_OFFSET_BITS=64 \
    -D_GNU_SOURCE -D_REENTRANT -D_THREAD_SAFE -D__CEPH__ -D__STDC_FORMAT_MACROS -D__linux__ -DHAVE_CONFIG_H \
    -DBOOST_ASIO_DISABLE_THREAD_KEYWORD_EXTENSION -DBOOST_ASIO_USE_TS_EXECUTOR_AS_DEFAULT -DFMT_DEPRECATED_OSTREAM \
    -Igen -Igen/common/options -Isrc/include -Isrc -c "src/$file.cc" -o "out/$(basename "$file").o"
done
libraries=/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || gcc -print-multiarch)
mkdir -p "$libraries/ceph/librbd"
# Of neorados, which is in librbd itself, one function is needed; the linker drops the others.
echo '{ global: __ceph_plugin_init; __ceph_plugin_version; _ZT*; local: *; };' > out/exported
g++ -shared -Wl,--gc-sections -Wl,--no-undefined -Wl,--version-script=out/exported \
  -o "$libraries/ceph/librbd/libceph_librbd_parent_cache.so" out/*.o -L"$libraries/ceph" -l:libceph-common.so.2 \
  -Wl,-rpath,"$libraries/ceph" -l:librados.so.2 -l:librbd.so.1
IN_CHROOT
chroot "$top" sh /root/plugin.sh
chroot "$top" sh -c 'rm -rf /root/src /root/ceph_*; apt-get clean'
