/**
 * Readers against eviction and promotion: every byte of every hit is checked while the store is churned in the order
 * that the protocol demands.
 */
#include <atomic>
#include <random>

#include "syscalls/files.h"
#include "test/fake-kernel.h"
#include "test/images.h"
#include "test/suites.h"

namespace parentfs::test {

namespace {

constexpr std::uint32_t block_bytes = 4096;
constexpr std::uint64_t object_bytes = block_bytes * residency::blocks_per_object;
constexpr std::uint64_t objects = 4;
constexpr std::uint64_t image_size = (objects - 1) * object_bytes + 10 * block_bytes + 5;

/** Evict an object: clear, bump, punch. */
void evict(const store::DataFile& file, std::uint64_t object) {
  file.table()->resident(object).store(0);
  file.table()->generation(object).fetch_add(1);
  if (syscalls::punch_hole(file.fd(), object * object_bytes, object_bytes) != 0) std::abort();
}

/** Evict and promote objects of its own, `first`, `first + step`, ..., until told to stop. */
void churn(const Image& image, std::uint64_t first, std::uint64_t step, const std::atomic<bool>& go) {
  std::mt19937 random(static_cast<std::uint32_t>(first + 1));
  while (go) {
    for (std::uint64_t object = first; object < objects; object += step) {
      evict(*image.file, object);
      if (random() % 2 == 0) image.promote(object, random() % 32, 32);
      image.promote(object, 0, residency::blocks_per_object);
    }
  }
}

/** Ends the churn also when a check fails. */
class Churn {
 public:
  explicit Churn(const Image& image) {
    for (std::uint64_t k = 0; k < 2; k++) threads_.emplace_back([&, k] { churn(image, k, 2, go_); });
  }
  ~Churn() {
    go_ = false;
    for (std::thread& thread : threads_) thread.join();
  }
  Churn(const Churn&) = delete;
  Churn& operator=(const Churn&) = delete;

 private:
  std::atomic<bool> go_{true};
  std::vector<std::thread> threads_;
};

void direct_readers(Checks& t) {
  const Image image(image_size, block_bytes);
  image.promote_all();
  std::atomic<std::uint64_t> hits{0};
  std::atomic<std::uint64_t> misses{0};
  std::atomic<std::uint64_t> wrong{0};
  {
    const Churn churning(image);
    std::vector<std::thread> readers;
    for (std::uint32_t seed = 0; seed < 4; seed++) {
      readers.emplace_back([&, seed] {
        std::mt19937 random(seed);
        std::vector<std::byte> target(40'000);
        for (int k = 0; k < 1000 || (hits < 100 && k < 300'000); k++) {
          const std::uint64_t length = 1 + random() % target.size();
          const std::uint64_t offset = random() % (image_size - length + 1);
          const auto part = std::span(target).first(length);
          const auto patience = seed % 2 == 0 ? store::Patience::none : store::Patience::full;
          const auto outcome = image.file->read(offset, part, patience, 1);
          (outcome == store::ReadOutcome::hit ? hits : misses)++;
          if (outcome == store::ReadOutcome::hit && !is_image(part, offset)) wrong++;
        }
      });
    }
    for (std::thread& reader : readers) reader.join();
  }
  CHECK(wrong == 0);
  CHECK(hits >= 100 && misses >= 100);
}

void session_readers(Checks& t) {
  const Image image(image_size, block_bytes);
  image.promote_all();
  Rig rig(4, 4);
  std::uint64_t wrong = 0;
  std::uint64_t hits = 0;
  std::uint64_t handed_over = 0;
  {
    const Churn churning(image);
    std::mt19937 random(99);
    std::vector<std::uint64_t> offsets;
    for (std::uint64_t k = 0; k < 2000; k++) {
      if (k % 500 == 0) rig.session.bind(1, image.file);
      if (k % 500 == 450) rig.session.unbind(1);
      offsets.push_back(random() % image_size);
      rig.kernel.ask(read_request(k, 1, offsets.back(), 1 + random() % 30'000));
      if (k % 8 != 7) continue;
      CHECK(until([&] {
        while (const auto answer = rig.kernel.answer(0)) {
          hits++;
          if (!is_image(answer->bytes, offsets[answer->header.unique])) wrong++;
        }
        handed_over += rig.forwarded().size();
        return hits + handed_over == k + 1;
      }));
    }
  }
  CHECK(wrong == 0);
  CHECK(hits >= 100 && handed_over >= 100);
}

}  // namespace

Tests race_tests() {
  return {
      {"reads that race with eviction and promotion are right or misses", direct_readers},
      {"READs on a session that race with eviction and promotion are right or handed over", session_readers},
  };
}

}  // namespace parentfs::test
