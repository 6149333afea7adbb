/** store/crc32c: the vectors of RFC 3720, B.4, and both implementations against each other. */
#include "disk/crc32c.h"

#include <cstring>
#include <random>

#include "test/suites.h"

namespace parentfs::test {

namespace crc32c_suite {
namespace {

using Bytes = std::vector<std::byte>;

Bytes counted(int first, int step) {
  Bytes bytes;
  for (int k = 0; k < 32; k++) bytes.push_back(static_cast<std::byte>(first + k * step));
  return bytes;
}

void vectors(Checks& t) {
  const auto both = [&](const Bytes& bytes, std::uint32_t sum) {
    CHECK(disk::crc32c(bytes) == sum);
    CHECK(disk::crc32c_portable(bytes) == sum);
  };
  both(Bytes(32, std::byte{0}), 0x8A9136AA);
  both(Bytes(32, std::byte{0xFF}), 0x62A8AB43);
  both(counted(0, 1), 0x46DD794E);
  both(counted(31, -1), 0x113FDB5C);
  // An iSCSI SCSI Read (10) command.
  Bytes command(48);
  const auto put = [&](std::size_t at, std::initializer_list<int> values) {
    for (const int value : values) command[at++] = static_cast<std::byte>(value);
  };
  put(0, {0x01, 0xC0});
  put(16, {0x14});
  put(22, {0x04});
  put(27, {0x14});
  put(31, {0x18, 0x28});
  put(40, {0x02});
  both(command, 0xD9963A56);
  both({}, 0);
}

void agreement(Checks& t) {
  std::mt19937 random(20240607);
  // Long enough for several rounds of lanes, of 3,840 bytes each.
  Bytes bytes(20'000);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  for (int k = 0; k < 2000; k++) {
    const std::size_t first = random() % bytes.size();
    const auto part = std::span<const std::byte>(bytes).subspan(first, random() % (bytes.size() - first));
    CHECK(disk::crc32c(part) == disk::crc32c_portable(part));
  }
}

}  // namespace
}  // namespace crc32c_suite

Tests crc32c_tests() {
  using namespace crc32c_suite;
  return {
      {"crc32c gives the sums of RFC 3720", vectors},
      {"the processor's crc32c and the portable one agree at every length and alignment", agreement},
  };
}

}  // namespace parentfs::test
