/** Digests of blocks. */
#include "verity/block-hash.h"

#include <algorithm>
#include <thread>

namespace parentfs::verity {

std::optional<BlockHash> BlockHash::make(Algorithm algorithm, SaltPlace place, std::span<const std::byte> salt) {
  const Sha2* found = sha2();
  if (found == nullptr) return std::nullopt;
  return BlockHash(*found, algorithm, place, salt);
}

BlockHash::BlockHash(const Sha2& sha2, Algorithm algorithm, SaltPlace place, std::span<const std::byte> salt)
    : sha2_(&sha2), algorithm_(algorithm) {
  if (algorithm == Algorithm::sha256) sha2.SHA256_Init(start_.bytes.data());
  else sha2.SHA512_Init(start_.bytes.data());
  if (place == SaltPlace::before) update(start_, salt);
  else salt_behind_.assign(salt.begin(), salt.end());
  const auto kernels = lane_kernels();
  if (algorithm == Algorithm::sha256 && !kernels.empty()) {
    const bool is_before = place == SaltPlace::before;
    lanes_.emplace(kernels, is_before ? salt : salt.first(0), is_before ? salt.first(0) : salt);
  }
}

void BlockHash::update(Sha2Context& context, std::span<const std::byte> bytes) const {
  const auto call = algorithm_ == Algorithm::sha256 ? sha2_->SHA256_Update : sha2_->SHA512_Update;
  if (!bytes.empty()) call(context.bytes.data(), bytes.data(), bytes.size());
}

void BlockHash::hash(std::span<const std::byte> block, std::byte* digest) const {
  Sha2Context context = start_;
  update(context, block);
  update(context, salt_behind_);
  const auto final = algorithm_ == Algorithm::sha256 ? sha2_->SHA256_Final : sha2_->SHA512_Final;
  final(reinterpret_cast<unsigned char*>(digest), context.bytes.data());
}

void BlockHash::hash_blocks(std::span<const std::byte> bytes, std::size_t block_bytes, std::byte* digests) const {
  if (lanes_) {
    lanes_->hash(bytes, block_bytes, digests);
    return;
  }
  for (std::size_t at = 0; at + block_bytes <= bytes.size(); at += block_bytes, digests += digest_bytes()) {
    hash(bytes.subspan(at, block_bytes), digests);
  }
}

void BlockHash::hash_all(std::span<const std::byte> bytes, std::size_t block_bytes, std::byte* digests,
                         unsigned threads) const {
  const std::size_t blocks = bytes.size() / block_bytes;
  const auto part = [&](std::size_t first, std::size_t end) {
    hash_blocks(bytes.subspan(first * block_bytes, (end - first) * block_bytes), block_bytes,
                digests + first * digest_bytes());
  };
  const std::size_t each = (blocks + threads - 1) / std::max(threads, 1U);
  std::vector<std::jthread> others;
  for (unsigned k = 1; k < threads && k * each < blocks; k++) {
    others.emplace_back(part, k * each, std::min(blocks, (k + 1) * each));
  }
  part(0, std::min(blocks, each));
}

}  // namespace parentfs::verity
