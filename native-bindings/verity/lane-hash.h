/**
 * Lane hash: the SHA-256 digests of salted blocks of one size, several at once. Safe to be used by several threads.
 */
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "verity/sha256-lanes.h"

namespace parentfs::verity {

class LaneHash {
 public:
  /** @param before, behind the salt of each block: one of both is empty, and it has 256 bytes at most */
  LaneHash(std::span<const LaneKernel> kernels, std::span<const std::byte> before, std::span<const std::byte> behind);

  /** The digests of all blocks of `bytes`, 32 bytes each, one behind another. @param block_bytes at least 64 */
  void hash(std::span<const std::byte> bytes, std::size_t block_bytes, std::byte* digests) const;

 private:
  using State = std::array<std::uint32_t, sha256_words>;

  void hash_group(const LaneKernel& kernel, std::span<const std::byte> bytes, std::size_t block_bytes,
                  std::byte* digests) const;

  std::span<const LaneKernel> kernels_;
  /** With the whole chunks of the salt hashed; `head_` is its rest. */
  State start_{};
  std::vector<std::byte> head_;
  std::vector<std::byte> behind_;
  std::size_t salt_bytes_;
};

}  // namespace parentfs::verity
