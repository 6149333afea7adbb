/**
 * Block hash: the digest of one block of a dm-verity tree, with its salt. Safe to be used by several threads.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "verity/lane-hash.h"
#include "verity/sha2.h"

namespace parentfs::verity {

enum class Algorithm { sha256, sha512 };

/** The place of the salt. Source: Linux Documentation/admin-guide/device-mapper/verity.rst, version 0 and 1. */
enum class SaltPlace { behind, before };

class BlockHash {
 public:
  /** @returns nothing where the process has no SHA-2 */
  static std::optional<BlockHash> make(Algorithm algorithm, SaltPlace place, std::span<const std::byte> salt);

  [[nodiscard]] std::size_t digest_bytes() const { return algorithm_ == Algorithm::sha256 ? 32 : 64; }
  /** @param digest room for `digest_bytes()` */
  void hash(std::span<const std::byte> block, std::byte* digest) const;
  /** The digests of all blocks of `bytes`, one behind another: several at once where the processor can. */
  void hash_blocks(std::span<const std::byte> bytes, std::size_t block_bytes, std::byte* digests) const;
  /** The same by so many threads. */
  void hash_all(std::span<const std::byte> bytes, std::size_t block_bytes, std::byte* digests, unsigned threads) const;

 private:
  BlockHash(const Sha2& sha2, Algorithm algorithm, SaltPlace place, std::span<const std::byte> salt);

  void update(Sha2Context& context, std::span<const std::byte> bytes) const;

  const Sha2* sha2_;
  Algorithm algorithm_;
  /** With the salt hashed, where that comes first. */
  Sha2Context start_{};
  std::vector<std::byte> salt_behind_;
  /** Of SHA-256, where the processor has instructions for it. */
  std::optional<LaneHash> lanes_;
};

}  // namespace parentfs::verity
