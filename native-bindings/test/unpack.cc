/** unpack/: streams of zlib and zstd, whole ones, damaged ones, and hostile ones. */
#include "unpack/unpack.h"

#include <dlfcn.h>

#include <algorithm>
#include <random>

#include "test/suites.h"
#include "unpack/libraries.h"

namespace parentfs::test {

namespace unpack_suite {
namespace {

using unpack::Packing;
using Bytes = std::vector<std::byte>;

constexpr std::size_t cluster_bytes = 65536;

Bytes cluster() {
  Bytes bytes(cluster_bytes);
  std::mt19937 random(20261122);
  for (std::size_t k = 0; k < bytes.size(); k++) bytes[k] = static_cast<std::byte>(k % 7 == 0 ? random() : k / 64);
  return bytes;
}

template <class Function>
Function* packer(const char* library, const char* name) {
  void* handle = ::dlopen(library, RTLD_NOW | RTLD_LOCAL);
  return handle == nullptr ? nullptr : reinterpret_cast<Function*>(::dlsym(handle, name));
}

/** Empty where the library is missing. */
Bytes packed(Packing packing, const Bytes& bytes) {
  Bytes made(bytes.size() * 2 + 1024);
  if (packing == Packing::zstd) {
    const auto pack =
        packer<std::size_t(void*, std::size_t, const void*, std::size_t, int)>("libzstd.so.1", "ZSTD_compress");
    if (pack == nullptr) return {};
    made.resize(pack(made.data(), made.size(), bytes.data(), bytes.size(), 3));
    return made;
  }
  const auto pack = packer<int(std::byte*, unsigned long*, const std::byte*, unsigned long)>("libz.so.1", "compress");
  if (pack == nullptr) return {};
  unsigned long length = made.size();
  pack(made.data(), &length, bytes.data(), bytes.size());
  made.resize(length);
  // A header of two bytes, and a sum of four.
  if (packing == Packing::deflate) made = Bytes(made.begin() + 2, made.end() - 4);
  return made;
}

/** Everything that holds of one packing. */
void judge(Checks& t, Packing packing) {
  const Bytes whole = cluster();
  Bytes stream = packed(packing, whole);
  if (stream.empty() || !unpack::complaint(packing).empty()) return t.skip("its library is not installed");
  const auto unpacker = unpack::create_unpacker(packing);
  Bytes target(cluster_bytes + 64, std::byte{0x5A});
  const auto into = [&](std::size_t length) { return std::span(target).first(length); };
  const auto guard_is_whole = [&] {
    return std::ranges::all_of(std::span(target).subspan(cluster_bytes), [](std::byte b) { return b == std::byte{0x5A}; });
  };
  const auto again = [&] {
    const auto fresh = unpack::create_unpacker(packing);
    std::ranges::fill(into(cluster_bytes), std::byte{0});
    return fresh->unpack(stream, into(cluster_bytes), cluster_bytes) && std::equal(whole.begin(), whole.end(), target.begin());
  };
  CHECK(again());
  CHECK(unpacker->unpack(stream, into(cluster_bytes), cluster_bytes));
  CHECK(unpacker->unpack(stream, into(cluster_bytes), cluster_bytes));
  stream.resize(stream.size() + 500, std::byte{0xC3});
  CHECK(again());
  stream.resize(stream.size() - 500);
  CHECK(!unpack::create_unpacker(packing)->unpack(stream, into(cluster_bytes - 1), 0));
  CHECK(!unpack::create_unpacker(packing)->unpack(stream, into(cluster_bytes + 1), cluster_bytes + 1));
  CHECK(unpack::create_unpacker(packing)->unpack(stream, into(cluster_bytes + 1), cluster_bytes));
  std::ranges::fill(target, std::byte{0x5A});
  CHECK(!unpack::create_unpacker(packing)->unpack(std::span(stream).first(stream.size() / 2), into(cluster_bytes), 0));
  CHECK(!unpack::create_unpacker(packing)->unpack({}, into(cluster_bytes), 0));
  std::mt19937 random(7);
  for (int k = 0; k < 2000; k++) {
    Bytes damaged = stream;
    for (int change = 0; change < 3; change++) damaged[random() % damaged.size()] = static_cast<std::byte>(random());
    // Right or wrong: within its target, and at an end.
    unpack::create_unpacker(packing)->unpack(damaged, into(cluster_bytes), cluster_bytes);
  }
  CHECK(guard_is_whole());
  CHECK(again());
}

void deflate(Checks& t) { judge(t, Packing::deflate); }
void zlib(Checks& t) { judge(t, Packing::zlib); }
void zstd(Checks& t) { judge(t, Packing::zstd); }

void zstd_frames(Checks& t) {
  const Bytes whole = cluster();
  Bytes two = packed(Packing::zstd, Bytes(whole.begin(), whole.begin() + 1000));
  if (two.empty() || !unpack::complaint(Packing::zstd).empty()) return t.skip("libzstd is not installed");
  const Bytes rest = packed(Packing::zstd, Bytes(whole.begin() + 1000, whole.end()));
  two.insert(two.end(), rest.begin(), rest.end());
  Bytes target(cluster_bytes);
  CHECK(unpack::create_unpacker(Packing::zstd)->unpack(two, target, cluster_bytes));
  CHECK(target == whole);
  // A frame with a window of 2^31 bytes, and a raw block of one byte that ends it. Source: RFC 8878, 3.1.1.
  const unsigned char greedy[] = {0x28, 0xB5, 0x2F, 0xFD, 0x00, 21 << 3, 0x09, 0x00, 0x00, 0x41};
  CHECK(!unpack::create_unpacker(Packing::zstd)->unpack(std::as_bytes(std::span(greedy)), std::span(target).first(1), 1));
  const unsigned char modest[] = {0x28, 0xB5, 0x2F, 0xFD, 0x00, 13 << 3, 0x09, 0x00, 0x00, 0x41};
  CHECK(unpack::create_unpacker(Packing::zstd)->unpack(std::as_bytes(std::span(modest)), std::span(target).first(1), 1));
  CHECK(target[0] == std::byte{'A'});
}

}  // namespace
}  // namespace unpack_suite

Tests unpack_tests() {
  using namespace unpack_suite;
  return {
      {"deflate is unpacked whole or not at all, and never past its target", deflate},
      {"deflate with zlib's header likewise", zlib},
      {"zstd likewise", zstd},
      {"zstd takes several frames, and no window above its bound", zstd_frames},
  };
}

}  // namespace parentfs::test
