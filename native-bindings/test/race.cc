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

namespace race_suite {
namespace {

constexpr std::uint32_t block_bytes = 4096;
constexpr std::uint64_t object_bytes = block_bytes * residency::blocks_per_object;
constexpr std::uint64_t objects = 4;
constexpr std::uint64_t image_size = objects * object_bytes;

/** Evict an object: clear, bump, punch. */
void evict(const image::DataFile& file, std::uint64_t object) {
  file.table()->resident(object).store(0);
  file.table()->generation(object).fetch_add(1);
  if (syscalls::punch_hole(file.fd(), object * object_bytes, object_bytes) != 0) std::abort();
}

/** Blocks at each end of an object that come and go: few, so that they go often. */
constexpr std::uint64_t edge_blocks = 4;

void promote_edges(const Image& image, std::uint64_t object) {
  image.promote(object, 0, edge_blocks);
  image.promote(object, residency::blocks_per_object - edge_blocks, edge_blocks);
}

/** Evict and promote objects of its own, `first`, `first + step`, ..., until told to stop. */
void churn(const Image& image, std::uint64_t first, std::uint64_t step, const std::atomic<bool>& go) {
  while (go) {
    for (std::uint64_t object = first; object < objects; object += step) {
      evict(*image.file, object);
      promote_edges(image, object);
    }
  }
}

/** A range around the border of two objects, within their edges. */
struct Range {
  explicit Range(std::mt19937& random) {
    const std::uint64_t border = (1 + random() % (objects - 1)) * object_bytes;
    offset = border - random() % (edge_blocks * block_bytes);
    length = 1 + random() % (border + edge_blocks * block_bytes - offset);
  }
  std::uint64_t offset;
  std::uint64_t length;
};

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

/** A reader that is held up after it saw the bits, as any thread may be: what it reads then is often gone. */
image::ReadOutcome read_late(const image::DataFile& file, std::uint64_t offset, std::span<std::byte> target) {
  return image::read_resident(*file.table(), file.geometry(), offset, target, 1, image::ReadOutcome::miss,
                              [&](std::uint64_t at, std::span<std::byte> into) {
                                for (int k = 0; k < 10; k++) std::this_thread::yield();
                                const ssize_t got =
                                    ::pread(file.fd(), into.data(), into.size(), static_cast<off_t>(at));
                                return got < 0 ? 0 : static_cast<std::size_t>(got);
                              });
}

void direct_readers(Checks& t) {
  const Image image(image_size, block_bytes);
  for (std::uint64_t object = 0; object < objects; object++) promote_edges(image, object);
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
          const Range range(random);
          const auto part = std::span(target).first(range.length);
          const auto outcome = seed == 0   ? image.file->read(range.offset, part, image::Blocking::no, 1)
                               : seed == 1 ? image.file->read(range.offset, part, image::Blocking::yes, 1)
                                           : read_late(*image.file, range.offset, part);
          (outcome == image::ReadOutcome::hit ? hits : misses)++;
          if (outcome == image::ReadOutcome::hit && !is_image(part, range.offset)) wrong++;
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
  for (std::uint64_t object = 0; object < objects; object++) promote_edges(image, object);
  Rig rig(4, 4);
  std::uint64_t wrong = 0;
  std::uint64_t hits = 0;
  std::uint64_t handed_over = 0;
  {
    const Churn churning(image);
    std::mt19937 random(99);
    std::vector<std::uint64_t> offsets;
    for (std::uint64_t k = 0; k < 800 || (k < 20'000 && (hits < 100 || handed_over < 100)); k++) {
      if (k % 200 == 0) rig.session.bind(1, image.file);
      if (k % 200 == 176) rig.session.unbind(1);
      const Range range(random);
      offsets.push_back(range.offset);
      rig.kernel.ask(read_request(k, 1, range.offset, static_cast<std::uint32_t>(range.length)));
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
}  // namespace race_suite

Tests race_tests() {
  using namespace race_suite;
  return {
      {"reads that race with eviction and promotion are right or misses", direct_readers},
      {"READs on a session that race with eviction and promotion are right or handed over", session_readers},
  };
}

}  // namespace parentfs::test
