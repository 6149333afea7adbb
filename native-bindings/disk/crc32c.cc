/**
 * crc32c: with the instruction of x86-64 (SSE4.2) or arm64 (CRC32) on three lanes at once, or eight bytes a step with
 * eight tables.
 */
#include "disk/crc32c.h"

#include <array>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#endif

namespace parentfs::disk {

namespace {

/** The polynomial, bits reversed. */
constexpr std::uint32_t polynomial = 0x82F63B78;

/** Eight tables, to take eight bytes a step: table k gives what a byte does when k zero bytes follow it. */
using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr Tables make_tables() {
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; byte++) {
    std::uint32_t sum = byte;
    for (int bit = 0; bit < 8; bit++) sum = (sum >> 1) ^ ((sum & 1) != 0 ? polynomial : 0);
    tables[0][byte] = sum;
  }
  for (std::size_t k = 1; k < tables.size(); k++) {
    for (std::size_t byte = 0; byte < 256; byte++) {
      const std::uint32_t before = tables[k - 1][byte];
      tables[k][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
  return tables;
}

constexpr Tables tables = make_tables();

static_assert(std::endian::native == std::endian::little, "eight bytes are taken as one little-endian word");

std::uint64_t load_word(const std::byte* at) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  return word;
}

#if defined(__x86_64__)
#define WITH_INSTRUCTION __attribute__((target("sse4.2")))
bool has_instruction() { return __builtin_cpu_supports("sse4.2") != 0; }
WITH_INSTRUCTION std::uint64_t add(std::uint64_t sum, std::uint64_t word) { return _mm_crc32_u64(sum, word); }
WITH_INSTRUCTION std::uint32_t add(std::uint32_t sum, std::uint8_t byte) { return _mm_crc32_u8(sum, byte); }
#elif defined(__aarch64__)
#define WITH_INSTRUCTION __attribute__((target("+crc")))
bool has_instruction() { return (::getauxval(AT_HWCAP) & HWCAP_CRC32) != 0; }
WITH_INSTRUCTION std::uint64_t add(std::uint64_t sum, std::uint64_t word) {
  return __crc32cd(static_cast<std::uint32_t>(sum), word);
}
WITH_INSTRUCTION std::uint32_t add(std::uint32_t sum, std::uint8_t byte) { return __crc32cb(sum, byte); }
#endif

#if defined(WITH_INSTRUCTION)
/**
 * Bytes of a lane, of which three are summed up at once: the instruction takes three cycles and may begin in each. Of a
 * block of 64 KiB, 256 bytes are left over. Source: Intel 64 and IA-32 Architectures Optimization Reference Manual,
 * latency and throughput of CRC32.
 */
constexpr std::size_t lane_bytes = 1280;
/** A line of the processor's caches. */
constexpr std::size_t line_bytes = 64;
/**
 * The distance at which bytes are fetched into them: two rounds of lanes. What another thread has received lies in
 * memory, and waiting for that takes three times as long as the sum.
 */
constexpr std::size_t ahead_bytes = 2 * 3 * lane_bytes;

/** A sum after `lane_bytes` zero bytes: the exclusive or of four entries, as the sum of an exclusive or is that of the sums. */
using LaneTables = std::array<std::array<std::uint32_t, 256>, 4>;

constexpr LaneTables make_lane_tables() {
  LaneTables after{};
  for (std::size_t bit = 0; bit < 32; bit++) {
    std::uint32_t sum = std::uint32_t{1} << bit;
    for (std::size_t k = 0; k < lane_bytes; k++) sum = (sum >> 8) ^ tables[0][sum & 0xff];
    auto& table = after[bit / 8];
    for (std::size_t byte = 0; byte < 256; byte++) {
      if (((byte >> (bit % 8)) & 1) != 0) table[byte] ^= sum;
    }
  }
  return after;
}

constexpr LaneTables lane_tables = make_lane_tables();

std::uint64_t after_lane(std::uint64_t sum) {
  return lane_tables[0][sum & 0xff] ^ lane_tables[1][(sum >> 8) & 0xff] ^ lane_tables[2][(sum >> 16) & 0xff] ^
         lane_tables[3][(sum >> 24) & 0xff];
}

WITH_INSTRUCTION std::uint32_t crc32c_instruction(std::span<const std::byte> bytes) {
  std::uint64_t sum = 0xFFFFFFFF;
  std::size_t at = 0;
  for (; at + 3 * lane_bytes <= bytes.size(); at += 3 * lane_bytes) {
    std::uint64_t second = 0;
    std::uint64_t third = 0;
    const std::byte* line = &bytes[at];
    for (const std::byte* end = line + lane_bytes; line != end; line += line_bytes) {
      // It reads nothing, also past the end.
      for (std::size_t lane = 0; lane < 3; lane++) __builtin_prefetch(line + lane * lane_bytes + ahead_bytes);
      for (const std::byte* word = line; word != line + line_bytes; word += 8) {
        sum = add(sum, load_word(word));
        second = add(second, load_word(word + lane_bytes));
        third = add(third, load_word(word + 2 * lane_bytes));
      }
    }
    sum = after_lane(after_lane(sum) ^ second) ^ third;
  }
  for (; at + 8 <= bytes.size(); at += 8) sum = add(sum, load_word(&bytes[at]));
  auto tail = static_cast<std::uint32_t>(sum);
  for (; at < bytes.size(); at++) tail = add(tail, std::to_integer<std::uint8_t>(bytes[at]));
  return ~tail;
}
#endif

}  // namespace

std::uint32_t crc32c_portable(std::span<const std::byte> bytes) {
  std::uint32_t sum = 0xFFFFFFFF;
  std::size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    const std::uint64_t word = load_word(&bytes[at]) ^ sum;
    sum = 0;
    for (std::size_t k = 0; k < 8; k++) sum ^= tables[7 - k][(word >> (8 * k)) & 0xff];
  }
  for (; at < bytes.size(); at++) {
    sum = (sum >> 8) ^ tables[0][(sum ^ std::to_integer<std::uint32_t>(bytes[at])) & 0xff];
  }
  return ~sum;
}

std::uint32_t crc32c(std::span<const std::byte> bytes) {
#if defined(WITH_INSTRUCTION)
  if (has_instruction()) return crc32c_instruction(bytes);
#endif
  return crc32c_portable(bytes);
}

}  // namespace parentfs::disk
