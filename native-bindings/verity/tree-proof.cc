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
  std::uint64_t block = offset / block_bytes;
  if (offset % block_bytes != 0) return {.proof = image::Proof::unknown, .block = block};
  std::array<std::byte, 64> digest;
  LeafCache::Leaf leaf;
  std::uint64_t leaf_index = 0;
  for (; !bytes.empty() && block < shape_.data_blocks; block++) {
    const std::uint64_t index = block / shape_.digests_per_leaf;
    if (!leaf || index != leaf_index) leaf = cache_->use(image_, leaf_index = index);
    if (!leaf) return {.proof = image::Proof::unknown, .block = block};
    if (bytes.size() < block_bytes) return {.proof = image::Proof::wrong, .block = block};
    hash_.hash(bytes.first(block_bytes), digest.data());
    const std::size_t place = block % shape_.digests_per_leaf * hash_.digest_bytes();
    if (std::memcmp(leaf->data() + place, digest.data(), hash_.digest_bytes()) != 0) {
      return {.proof = image::Proof::wrong, .block = block};
    }
    bytes = bytes.subspan(block_bytes);
  }
  return {.proof = image::Proof::right, .block = block};
}

}  // namespace parentfs::verity
