/** Proofs of data blocks. */
#include "verity/tree-proof.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

namespace parentfs::verity {

bool TreeProof::put(std::uint64_t index, std::span<const std::byte> leaf) {
  if (leaf.size() < std::size_t{shape_.digests_per_leaf} * hash_.digest_bytes()) return false;
  cache_->put(image_, index, std::make_shared<const std::vector<std::byte>>(leaf.begin(), leaf.end()));
  return true;
}

image::Proof TreeProof::prove(std::uint64_t offset, std::span<const std::byte> bytes) const {
  return find(offset, bytes).proof;
}

bool TreeProof::knows(std::uint64_t offset, std::uint64_t length) const {
  if (length == 0) return true;
  if (offset + length > shape_.data_blocks * shape_.data_block_bytes) return false;
  const std::uint64_t last = (offset + length - 1) / shape_.data_block_bytes;
  for (std::uint64_t leaf = offset / shape_.data_block_bytes / shape_.digests_per_leaf;
       leaf <= last / shape_.digests_per_leaf; leaf++) {
    if (!cache_->use(image_, leaf)) return false;
  }
  return true;
}

TreeProof::Finding TreeProof::find(std::uint64_t offset, std::span<const std::byte> bytes) const {
  const std::size_t block_bytes = shape_.data_block_bytes;
  const std::size_t digest_bytes = hash_.digest_bytes();
  std::uint64_t block = offset / block_bytes;
  if (offset % block_bytes != 0) return {.proof = image::Proof::unknown, .block = block};
  std::array<std::byte, lanes_max * 64> digests;
  while (!bytes.empty() && block < shape_.data_blocks) {
    const std::uint64_t in_leaf = block % shape_.digests_per_leaf;
    const LeafCache::Leaf leaf = cache_->use(image_, block / shape_.digests_per_leaf);
    if (!leaf) return {.proof = image::Proof::unknown, .block = block};
    // Blocks of one leaf, several at once.
    const std::uint64_t left = std::min(shape_.data_blocks - block, shape_.digests_per_leaf - in_leaf);
    const std::size_t count = std::min({std::uint64_t{bytes.size() / block_bytes}, left, std::uint64_t{lanes_max}});
    if (count == 0) return {.proof = image::Proof::wrong, .block = block};
    hash_.hash_blocks(bytes.first(count * block_bytes), block_bytes, digests.data());
    const std::byte* wanted = leaf->data() + in_leaf * digest_bytes;
    for (std::size_t k = 0; k < count; k++) {
      if (std::memcmp(wanted + k * digest_bytes, &digests[k * digest_bytes], digest_bytes) != 0) {
        return {.proof = image::Proof::wrong, .block = block + k};
      }
    }
    bytes = bytes.subspan(count * block_bytes);
    block += count;
  }
  return {.proof = image::Proof::right, .block = block};
}

void TreeProof::note_wrong(std::uint64_t block) {
  const Lock lock(mutex_);
  if (wrong_.size() < wrong_max) wrong_.push_back(block);
  has_wrong_ = true;
}

std::vector<std::uint64_t> TreeProof::take_wrong() {
  if (!has_wrong_) return {};
  const Lock lock(mutex_);
  has_wrong_ = false;
  return std::exchange(wrong_, {});
}

}  // namespace parentfs::verity
