/**
 * Tree proof: proves data blocks of one image by the leaves of its hash tree that are in memory.
 */
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "image/block-proof.h"
#include "mutex.h"
#include "verity/block-hash.h"
#include "verity/leaf-cache.h"

namespace parentfs::verity {

struct TreeShape {
  std::uint64_t data_blocks;
  std::uint32_t data_block_bytes;
  /** Digests in a leaf. */
  std::uint32_t digests_per_leaf;
};

class TreeProof final : public image::BlockProof {
 public:
  TreeProof(std::shared_ptr<LeafCache> cache, BlockHash hash, const TreeShape& shape)
      : cache_(std::move(cache)), hash_(std::move(hash)), shape_(shape), image_(cache_->next_image()) {}
  ~TreeProof() override { cache_->remove(image_); }

  [[nodiscard]] const BlockHash& block_hash() const { return hash_; }
  /** A leaf that is proven. @returns false when it is too short */
  bool put(std::uint64_t index, std::span<const std::byte> leaf);
  [[nodiscard]] LeafCache::Leaf leaf(std::uint64_t index) const { return cache_->use(image_, index); }

  [[nodiscard]] image::Proof prove(std::uint64_t offset, std::span<const std::byte> bytes) const override;
  [[nodiscard]] bool knows(std::uint64_t offset, std::uint64_t length) const override;

  struct Finding {
    image::Proof proof;
    /** The first data block that is wrong, or whose digest is not known. */
    std::uint64_t block;
  };
  /** The same, with the place. Bytes behind the data are not of the tree: they are passed over. */
  [[nodiscard]] Finding find(std::uint64_t offset, std::span<const std::byte> bytes) const;

  /** An answer for a session thread's read did not fit: its first wrong block is kept until it is taken. */
  void note_wrong(std::uint64_t block) EXCLUDES(mutex_);
  [[nodiscard]] std::vector<std::uint64_t> take_wrong() EXCLUDES(mutex_);

 private:
  const std::shared_ptr<LeafCache> cache_;
  const BlockHash hash_;
  const TreeShape shape_;
  const std::uint64_t image_;
  /** Each is followed by a read of TypeScript, which takes it: more than are in flight do not gather. */
  static constexpr std::size_t wrong_max = 1024;

  Mutex mutex_;
  std::vector<std::uint64_t> wrong_ GUARDED_BY(mutex_);
  /** For a look without the lock. */
  std::atomic<bool> has_wrong_{false};
};

}  // namespace parentfs::verity
