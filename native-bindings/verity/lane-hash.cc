/** Digests of blocks in lanes. */
#include "verity/lane-hash.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace parentfs::verity {

namespace {

/** Behind a message: a bit, zeros, and its length in bits. Source: FIPS 180-4, 5.1.1. */
constexpr std::size_t length_bytes = 8;
constexpr std::size_t salt_bytes_max = 256;
/** The rest of a block, the salt behind it, the end of the message. */
constexpr std::size_t tail_bytes_max = 2 * sha256_chunk_bytes + salt_bytes_max + length_bytes;

template <class Word>
void store_big_endian(Word word, std::byte* at) {
  for (std::size_t k = 0; k < sizeof word; k++) at[k] = static_cast<std::byte>(word >> (8 * (sizeof word - 1 - k)));
}

}  // namespace

LaneHash::LaneHash(std::span<const LaneKernel> kernels, std::span<const std::byte> before,
                   std::span<const std::byte> behind)
    : kernels_(kernels), behind_(behind.begin(), behind.end()), salt_bytes_(before.size() + behind.size()) {
  const std::size_t chunks = before.size() / sha256_chunk_bytes;
  const LaneKernel& kernel = kernels.back();
  std::array<std::uint32_t, sha256_words * lanes_max> states;
  std::array<const std::byte*, lanes_max> at;
  at.fill(before.data());
  for (std::size_t k = 0; k < sha256_words; k++) std::fill_n(&states[k * kernel.lanes], kernel.lanes, sha256_start[k]);
  kernel.compress(states.data(), at.data(), chunks);
  for (std::size_t k = 0; k < sha256_words; k++) start_[k] = states[k * kernel.lanes];
  const auto rest = before.subspan(chunks * sha256_chunk_bytes);
  head_.assign(rest.begin(), rest.end());
}

void LaneHash::hash(std::span<const std::byte> bytes, std::size_t block_bytes, std::byte* digests) const {
  const std::size_t digest_bytes = sha256_words * sizeof(std::uint32_t);
  for (std::size_t left = bytes.size() / block_bytes; left > 0;) {
    // Few blocks would leave most lanes of the widest kernel empty.
    const bool is_wide = left * 2 > kernels_.front().lanes;
    const LaneKernel& kernel = is_wide ? kernels_.front() : kernels_.back();
    const std::size_t count = std::min(left, kernel.lanes);
    hash_group(kernel, bytes.first(count * block_bytes), block_bytes, digests);
    bytes = bytes.subspan(count * block_bytes);
    digests += count * digest_bytes;
    left -= count;
  }
}

void LaneHash::hash_group(const LaneKernel& kernel, std::span<const std::byte> bytes, std::size_t block_bytes,
                          std::byte* digests) const {
  const std::size_t lanes = kernel.lanes;
  const std::size_t count = bytes.size() / block_bytes;
  std::array<std::uint32_t, sha256_words * lanes_max> states;
  for (std::size_t k = 0; k < sha256_words; k++) std::fill_n(&states[k * lanes], lanes, start_[k]);
  // Lanes without a block of their own repeat the last one.
  const auto block = [&](std::size_t lane) { return &bytes[std::min(lane, count - 1) * block_bytes]; };
  std::array<const std::byte*, lanes_max> at;

  std::size_t taken = 0;
  if (!head_.empty()) {
    std::array<std::byte, sha256_chunk_bytes * lanes_max> heads;
    taken = sha256_chunk_bytes - head_.size();
    for (std::size_t lane = 0; lane < lanes; lane++) {
      std::byte* into = &heads[lane * sha256_chunk_bytes];
      at[lane] = into;
      std::memcpy(std::ranges::copy(head_, into).out, block(lane), taken);
    }
    kernel.compress(states.data(), at.data(), 1);
  }
  const std::size_t chunks = (block_bytes - taken) / sha256_chunk_bytes;
  for (std::size_t lane = 0; lane < lanes; lane++) at[lane] = block(lane) + taken;
  kernel.compress(states.data(), at.data(), chunks);
  taken += chunks * sha256_chunk_bytes;

  std::array<std::byte, tail_bytes_max * lanes_max> tails;
  const std::size_t said = block_bytes - taken + behind_.size() + 1 + length_bytes;
  const std::size_t tail_chunks = (said + sha256_chunk_bytes - 1) / sha256_chunk_bytes;
  for (std::size_t lane = 0; lane < lanes; lane++) {
    std::byte* const into = &tails[lane * tail_bytes_max];
    at[lane] = into;
    std::memcpy(into, block(lane) + taken, block_bytes - taken);
    std::byte* end = std::ranges::copy(behind_, into + block_bytes - taken).out;
    *end++ = std::byte{0x80};
    std::byte* const length = into + tail_chunks * sha256_chunk_bytes - length_bytes;
    std::fill(end, length, std::byte{0});
    store_big_endian(std::uint64_t{salt_bytes_ + block_bytes} * 8, length);
  }
  kernel.compress(states.data(), at.data(), tail_chunks);
  for (std::size_t lane = 0; lane < count; lane++) {
    for (std::size_t k = 0; k < sha256_words; k++, digests += sizeof(std::uint32_t)) {
      store_big_endian(states[k * lanes + lane], digests);
    }
  }
}

}  // namespace parentfs::verity
