/** verity/: proofs by mutated leaves of mutated blocks, from a seed. MUTANTS=n sets how many, SEED=n another sequence. */
#include <dlfcn.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "test/suites.h"
#include "verity/signature.h"
#include "verity/tree-proof.h"

namespace parentfs::test {

namespace verity_fuzz_suite {
namespace {

using image::Proof;
using Bytes = std::vector<std::byte>;

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

class Mutants {
 public:
  explicit Mutants(std::uint32_t seed) : random_(seed) {}

  std::uint64_t below(std::uint64_t end) { return random_() % end; }
  bool one_in(std::uint64_t count) { return below(count) == 0; }
  Bytes bytes(std::size_t length) {
    Bytes made(length);
    for (auto& byte : made) byte = static_cast<std::byte>(random_());
    return made;
  }
  void flip(Bytes& bytes) {
    if (!bytes.empty()) bytes[below(bytes.size())] ^= static_cast<std::byte>(1U << below(8));
  }

 private:
  std::mt19937 random_;
};

/** An image of some blocks, and its leaves. */
struct Sealed {
  verity::BlockHash hash;
  verity::TreeShape shape;
  Bytes data;
  std::vector<Bytes> leaves;
};

Sealed sealed(Mutants& mutants) {
  const auto algorithm = mutants.one_in(3) ? verity::Algorithm::sha512 : verity::Algorithm::sha256;
  const auto place = mutants.one_in(4) ? verity::SaltPlace::behind : verity::SaltPlace::before;
  const Bytes salt = mutants.bytes(mutants.one_in(2) ? 0 : mutants.below(257));
  const auto hash = *verity::BlockHash::make(algorithm, place, salt);
  const auto block_bytes = static_cast<std::uint32_t>(512U << mutants.below(3));
  const auto per_leaf = static_cast<std::uint32_t>(1U << mutants.below(6));
  const std::uint64_t blocks = 1 + mutants.below(20);
  Sealed made{.hash = hash,
              .shape = {.data_blocks = blocks, .data_block_bytes = block_bytes, .digests_per_leaf = per_leaf},
              .data = mutants.bytes(blocks * block_bytes),
              .leaves = {}};
  Bytes digests((blocks + per_leaf) * hash.digest_bytes());
  hash.hash_all(made.data, block_bytes, digests.data(), 1);
  const std::size_t leaf_bytes = per_leaf * hash.digest_bytes();
  for (std::uint64_t first = 0; first < blocks; first += per_leaf) {
    const auto begin = digests.begin() + static_cast<std::ptrdiff_t>(first * hash.digest_bytes());
    made.leaves.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(leaf_bytes));
  }
  return made;
}

/** The finding that is right, block by block. */
Proof judged(const Sealed& image, const std::vector<const Bytes*>& here, std::uint64_t offset,
             std::span<const std::byte> bytes) {
  const auto& [data_blocks, block_bytes, per_leaf] = image.shape;
  if (offset % block_bytes != 0) return Proof::unknown;
  Bytes digest(image.hash.digest_bytes());
  for (std::uint64_t block = offset / block_bytes; !bytes.empty() && block < data_blocks; block++) {
    const Bytes* const leaf = here[block / per_leaf];
    if (leaf == nullptr) return Proof::unknown;
    if (bytes.size() < block_bytes) return Proof::wrong;
    image.hash.hash(bytes.first(block_bytes), digest.data());
    const auto wanted = std::span(*leaf).subspan(block % per_leaf * digest.size(), digest.size());
    if (!std::ranges::equal(wanted, digest)) return Proof::wrong;
    bytes = bytes.subspan(block_bytes);
  }
  return Proof::right;
}

void proofs(Checks& t) {
  static const void* const library = ::dlopen("libcrypto.so.3", RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr || verity::sha2() == nullptr) return t.skip("libcrypto.so.3 is missing");
  const auto seed = static_cast<std::uint32_t>(number_from("SEED", 20261123));
  const std::uint64_t count = number_from("MUTANTS", 1000);
  std::printf("  seed %u\n", seed);
  Mutants mutants(seed);
  std::array<std::uint64_t, 3> met{};
  for (std::uint64_t k = 0; k < count; k++) {
    const Sealed image = sealed(mutants);
    verity::TreeProof proof(std::make_shared<verity::LeafCache>(1 << 20), image.hash, image.shape);
    std::vector<const Bytes*> here(image.leaves.size(), nullptr);
    std::vector<Bytes> put = image.leaves;
    for (std::size_t leaf = 0; leaf < put.size(); leaf++) {
      if (mutants.one_in(10)) continue;
      if (mutants.one_in(10)) mutants.flip(put[leaf]);
      if (mutants.one_in(20)) put[leaf].resize(mutants.below(put[leaf].size()));
      else if (mutants.one_in(20)) put[leaf].resize(put[leaf].size() + mutants.below(100));
      const bool is_whole = put[leaf].size() >= image.leaves[leaf].size();
      t.hold(proof.put(leaf, put[leaf]) == is_whole, "a leaf has all its digests", __FILE__, __LINE__);
      if (is_whole) here[leaf] = &put[leaf];
    }
    Bytes data = image.data;
    while (mutants.one_in(3)) mutants.flip(data);
    if (mutants.one_in(4)) data.resize(data.size() + mutants.below(3000));
    const std::size_t block_bytes = image.shape.data_block_bytes;
    const std::size_t first = mutants.below(image.shape.data_blocks);
    const std::uint64_t offset = first * block_bytes + (mutants.one_in(10) ? mutants.below(block_bytes) : 0);
    auto range = std::span<const std::byte>(data).subspan(first * block_bytes);
    if (mutants.one_in(2)) range = range.first(mutants.below(range.size() + 1));
    const auto found = proof.find(offset, range).proof;
    met[static_cast<std::size_t>(found)]++;
    t.hold(found == judged(image, here, offset, range), "as block by block", __FILE__, __LINE__);
    (void)proof.knows(mutants.below(data.size() * 2), mutants.below(data.size()));
    if (k % 20 == 0) {
      const Bytes signature = mutants.bytes(mutants.below(600));
      const std::string text(reinterpret_cast<const char*>(data.data()), mutants.below(data.size()));
      t.hold(!verity::signature_complaint({text}, signature, data).empty(), "garbage signs nothing", __FILE__, __LINE__);
    }
  }
  std::printf("  %llu, %llu, %llu of each finding\n", static_cast<unsigned long long>(met[0]),
              static_cast<unsigned long long>(met[1]), static_cast<unsigned long long>(met[2]));
  CHECK(std::ranges::all_of(met, [&](std::uint64_t each) { return each > count / 50; }));
}

}  // namespace
}  // namespace verity_fuzz_suite

Tests verity_fuzz_tests() {
  using namespace verity_fuzz_suite;
  return {{"proofs by mutated leaves are those of each block alone", proofs}};
}

}  // namespace parentfs::test
