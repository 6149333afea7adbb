/** verity/: leaves in memory, proofs of blocks, readers that prove. */
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "test/fake-origin.h"
#include "test/suites.h"
#include "verity/proving-reader.h"
#include "verity/signature.h"

namespace parentfs::test {

namespace {

using image::Proof;

/** The process of the tests has no OpenSSL of its own. */
bool has_openssl(Checks& t) {
  static const void* const library = ::dlopen("libcrypto.so.3", RTLD_NOW | RTLD_GLOBAL);
  if (library != nullptr && verity::sha2() != nullptr) return true;
  t.skip("libcrypto.so.3 is missing");
  return false;
}

verity::BlockHash hash() {
  const std::array<std::byte, 2> salt{std::byte{0xab}, std::byte{0xcd}};
  return *verity::BlockHash::make(verity::Algorithm::sha256, verity::SaltPlace::before, salt);
}

std::shared_ptr<verity::TreeProof> proof_of(std::span<const std::byte> bytes) {
  auto proof = std::make_shared<verity::TreeProof>(
      std::make_shared<verity::LeafCache>(1 << 20), hash(),
      verity::TreeShape{.data_blocks = bytes.size() / 4096, .data_block_bytes = 4096, .digests_per_leaf = 128});
  std::vector<std::byte> leaf(4096);
  hash().hash_all(bytes, 4096, leaf.data(), 2);
  (void)proof->put(0, leaf);
  return proof;
}

void leaves(Checks& t) {
  verity::LeafCache cache(3 * 100);
  const auto leaf = [] { return std::make_shared<const std::vector<std::byte>>(100); };
  const auto one = cache.next_image();
  const auto two = cache.next_image();
  for (std::uint64_t k = 0; k < 3; k++) cache.put(one, k, leaf());
  CHECK(cache.use(one, 0) && cache.bytes() == 300);
  cache.put(two, 0, leaf());
  CHECK(cache.use(one, 0) && !cache.use(one, 1) && cache.use(one, 2) && cache.use(two, 0));
  cache.remove(one);
  CHECK(cache.bytes() == 100 && !cache.use(one, 0) && cache.use(two, 0));
}

void reader(Checks& t) {
  if (!has_openssl(t)) return;
  std::vector<std::byte> bytes(std::size_t{8} * 4096, std::byte{7});
  const auto proof = proof_of(bytes);
  const auto origin = std::make_shared<FakeOrigin>();
  verity::ProvingReader reader(origin, proof, std::make_shared<verity::ProofThreads>());
  std::vector<std::byte> target(8192);
  std::atomic<int> right{-1};
  const auto read = [&](std::uint64_t offset, bool is_flipped, bool is_answered) {
    right = -1;
    if (!reader.read(offset, target, [&](bool proven) { right = proven ? 1 : 0; })) return false;
    auto asked = origin->next(t);
    std::ranges::copy(std::span(bytes).subspan(offset, target.size()), asked.target.begin());
    if (is_flipped) asked.target[5000] ^= std::byte{1};
    asked.done(is_answered);
    asked.done = {};
    CHECK(until([&] { return right >= 0; }));
    return true;
  };
  CHECK(read(4096, false, true) && right == 1);
  CHECK(read(4096, true, true) && right == 0 && proof->wrong() == 1);
  CHECK(read(4096, false, false) && right == 0 && proof->wrong() == 1);
  CHECK(!read(std::uint64_t{7} * 4096, false, true));  // It ends behind the data.
}

void many_threads(Checks& t) {
  if (!has_openssl(t)) return;
  std::vector<std::byte> bytes(std::size_t{64} * 4096, std::byte{9});
  const auto proof = proof_of(bytes);
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int k = 0; k < 4; k++) {
    threads.emplace_back([&] {
      for (int round = 0; round < 20; round++) {
        t.hold(proof->prove(0, bytes) == Proof::right, "right", __FILE__, __LINE__);
        std::vector<std::byte> leaf(4096);
        (void)proof->put(static_cast<std::uint64_t>(round), leaf);
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

void signatures(Checks& t) {
  if (!has_openssl(t)) return;
  const std::array<std::byte, 4> content{};
  const auto complaint = [&](const std::string& certificate, std::span<const std::byte> signature) {
    return verity::signature_complaint({certificate}, signature, content);
  };
  CHECK(!complaint("", content).empty());
  CHECK(!complaint("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", content).empty());
}

}  // namespace

Tests verity_tests() {
  return {{"the least recently used leaves leave memory first", leaves},
          {"a read of a session thread is right when it is proven", reader},
          {"a tree proves for many threads at once", many_threads},
          {"what is no certificate and no signature is complained about", signatures}};
}

}  // namespace parentfs::test
