/**
 * Block proof: says of the bytes of an image whether they are its publisher's, by what is known of its hash tree.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace parentfs::image {

/** `unknown`: the digests of the range are not in memory. */
enum class Proof { right, wrong, unknown };

class BlockProof {
 public:
  BlockProof() = default;
  virtual ~BlockProof() = default;
  BlockProof(const BlockProof&) = delete;
  BlockProof& operator=(const BlockProof&) = delete;

  /** @param offset of `bytes` in the image, at a data block of the tree */
  [[nodiscard]] virtual Proof prove(std::uint64_t offset, std::span<const std::byte> bytes) const = 0;
  /** Are the digests of a range in memory? */
  [[nodiscard]] virtual bool knows(std::uint64_t offset, std::uint64_t length) const = 0;
};

}  // namespace parentfs::image
