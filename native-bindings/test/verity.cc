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
#include "verity/lane-hash.h"
#include "verity/proving-reader.h"
#include "verity/signature.h"

namespace parentfs::test {

namespace verity_suite {
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

/** Bytes that differ from block to block. */
std::vector<std::byte> varied(std::size_t length) {
  std::vector<std::byte> bytes(length);
  std::uint32_t word = 1;
  for (auto& byte : bytes) byte = static_cast<std::byte>((word = word * 1664525 + 1013904223) >> 24);
  return bytes;
}

void lanes(Checks& t) {
  if (!has_openssl(t)) return;
  const auto kernels = verity::lane_kernels();
  if (kernels.empty()) return t.skip("the processor has neither AVX-512 nor SHA-NI");
  const auto salt = varied(256);
  const auto bytes = varied(std::size_t{37} * 4096);
  std::vector<std::span<const verity::LaneKernel>> choices{kernels};
  for (const auto& kernel : kernels) choices.push_back({&kernel, 1});
  for (const auto& choice : choices) {
    for (const std::size_t salt_bytes : {0, 1, 2, 31, 32, 55, 56, 63, 64, 65, 127, 128, 200, 255, 256}) {
      for (const std::size_t block_bytes : {512, 1024, 4096}) {
        for (const auto place : {verity::SaltPlace::before, verity::SaltPlace::behind}) {
          const auto used = std::span(salt).first(salt_bytes);
          const bool is_before = place == verity::SaltPlace::before;
          const verity::LaneHash made(choice, is_before ? used : used.first(0), is_before ? used.first(0) : used);
          const auto reference = *verity::BlockHash::make(verity::Algorithm::sha256, place, used);
          for (const std::size_t blocks : {1, 2, 3, 9, 16, 17, 37}) {
            const auto part = std::span(bytes).first(blocks * block_bytes);
            std::vector<std::byte> digests(blocks * 32);
            std::vector<std::byte> wanted(blocks * 32);
            made.hash(part, block_bytes, digests.data());
            for (std::size_t k = 0; k < blocks; k++) {
              reference.hash(part.subspan(k * block_bytes, block_bytes), &wanted[k * 32]);
            }
            t.hold(digests == wanted, "as OpenSSL has it", __FILE__, __LINE__);
          }
        }
      }
    }
  }
}

void wrong_blocks(Checks& t) {
  if (!has_openssl(t)) return;
  const auto bytes = varied(std::size_t{40} * 4096);
  const auto proof = proof_of(bytes);
  for (std::size_t block = 0; block < 40; block++) {
    auto flipped = bytes;
    flipped[block * 4096 + block * 100] ^= std::byte{0x20};
    const auto found = proof->find(0, flipped);
    CHECK(found.proof == Proof::wrong && found.block == block);
  }
  CHECK(proof->find(0, bytes).proof == Proof::right);
  CHECK(proof->find(4096, std::span(bytes).subspan(4096, 4096 * 20 + 1)).block == 21);
}

void threads_without_blocks(Checks& t) {
  if (!has_openssl(t)) return;
  for (const std::size_t blocks : {1, 3, 9}) {
    const auto bytes = varied(blocks * 4096);
    std::vector<std::byte> wanted(blocks * 32);
    hash().hash_blocks(bytes, 4096, wanted.data());
    std::vector<std::byte> digests(wanted.size());
    hash().hash_all(bytes, 4096, digests.data(), 8);
    CHECK(digests == wanted);
  }
}

void known_to_the_end(Checks& t) {
  if (!has_openssl(t)) return;
  verity::TreeProof proof(std::make_shared<verity::LeafCache>(1 << 20), hash(),
                          {.data_blocks = 200, .data_block_bytes = 4096, .digests_per_leaf = 128});
  constexpr std::uint64_t first_leaf = std::uint64_t{128} * 4096;
  constexpr std::uint64_t all = std::uint64_t{200} * 4096;
  CHECK(proof.put(0, std::vector<std::byte>(4096)));
  CHECK(proof.knows(0, first_leaf) && !proof.knows(first_leaf - 4096, 8192) && !proof.knows(first_leaf, 4096));
  CHECK(proof.put(1, std::vector<std::byte>(4096)));
  CHECK(proof.knows(0, all) && !proof.knows(0, all + 1));
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
  verity::LeafCache small(50);
  small.put(one, 0, leaf());
  CHECK(small.use(one, 0));  // Without it, no block of it could ever be proven.
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
  CHECK(read(4096, true, true) && right == 0 && proof->take_wrong() == std::vector<std::uint64_t>{2});
  CHECK(read(4096, false, false) && right == 0 && proof->take_wrong().empty());
  CHECK(!read(std::uint64_t{7} * 4096, false, true));  // It ends behind the data.
}

/** Readers hold both threads, and as many answers wait as may: one more is proven where it came. */
void full_queue(Checks& t) {
  if (!has_openssl(t)) return;
  std::vector<std::byte> bytes(4096, std::byte{7});
  const auto origin = std::make_shared<FakeOrigin>();
  verity::ProvingReader reader(origin, proof_of(bytes), std::make_shared<verity::ProofThreads>());
  const auto here = std::this_thread::get_id();
  std::atomic<bool> is_held{true};
  std::atomic<std::size_t> answered{0};
  const auto done = [&](bool is_right) {
    t.hold(is_right, "right", __FILE__, __LINE__);
    answered++;
    if (std::this_thread::get_id() != here) is_held.wait(true);
  };
  const auto answer = [&] {
    CHECK(reader.read(0, bytes, done));
    origin->next(t).done(true);
  };
  for (unsigned k = 0; k < verity::ProofThreads::threads_max; k++) answer();
  CHECK(until([&] { return answered == verity::ProofThreads::threads_max; }));
  for (std::size_t k = 0; k < verity::ProofThreads::waiting_max; k++) answer();
  CHECK(answered == verity::ProofThreads::threads_max);
  answer();
  CHECK(answered == verity::ProofThreads::threads_max + 1);
  is_held = false;
  is_held.notify_all();
  constexpr std::size_t all = verity::ProofThreads::threads_max + verity::ProofThreads::waiting_max + 1;
  CHECK(until([&] { return answered == all; }, std::chrono::seconds(20)));
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
}  // namespace verity_suite

Tests verity_tests() {
  using namespace verity_suite;
  return {{"the least recently used leaves leave memory first", leaves},
          {"digests in lanes are those of OpenSSL", lanes},
          {"digests by more threads than there are blocks for are the same", threads_without_blocks},
          {"the first wrong block of a range is located", wrong_blocks},
          {"a range is known when all its leaves are here, to the last block", known_to_the_end},
          {"an answer that finds the queue of proofs full is proven where it came", full_queue},
          {"a read of a session thread is right when it is proven", reader},
          {"a tree proves for many threads at once", many_threads},
          {"what is no certificate and no signature is complained about", signatures}};
}

}  // namespace parentfs::test
