/**
 * SHA-256 of several messages of one length at once: one message a lane, by the processor's widest instructions.
 *
 * OpenSSL hashes one message at a time, whose rounds wait for each other. The blocks of a hash tree are independent:
 * 16 lanes of AVX-512 take 2.4 times as many bytes a second as OpenSSL, and two lanes of SHA-NI 1.6 times as many
 * (docs/decisions/2026-11-23-sha256-in-lanes.md).
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace parentfs::verity {

inline constexpr std::size_t sha256_words = 8;
inline constexpr std::size_t sha256_chunk_bytes = 64;
inline constexpr std::size_t lanes_max = 16;

/** The state of a message of which nothing was hashed. Source: FIPS 180-4, 5.3.3. */
inline constexpr std::uint32_t sha256_start[sha256_words] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                                             0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

struct LaneKernel {
  const char* name;
  std::size_t lanes;
  /**
   * Hash `chunks` chunks of each lane.
   * @param states word k of lane n at `k * lanes + n`
   * @param at the first byte of each lane
   */
  void (*compress)(std::uint32_t* states, const std::byte* const* at, std::size_t chunks);
};

/** Those that this processor has, the widest first; none: OpenSSL is the fastest. */
std::span<const LaneKernel> lane_kernels();

}  // namespace parentfs::verity
