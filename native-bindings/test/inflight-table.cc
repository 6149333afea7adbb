/** image/: the in-flight table. Whatever the order of threads, a block is fetched once, and no claim stays. */
#include "image/inflight-table.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <random>
#include <thread>

#include "test/fake-origin.h"
#include "test/images.h"
#include "test/suites.h"

namespace parentfs::test {

namespace inflight_table_suite {
namespace {

using image::FetchWaiter;
using image::InflightFetch;
using image::InflightTable;

constexpr std::uint32_t block_bytes = 4096;
constexpr std::uint64_t object_bytes = std::uint64_t{block_bytes} * residency::blocks_per_object;

void memory(Checks& t) {
  image::FetchMemory memory(4 * block_bytes);
  const auto first = memory.take(5000);
  const auto second = memory.take(1);
  CHECK(first.data() == memory.all().data() && first.size() == 5000);
  CHECK(second.data() == first.data() + 2 * block_bytes && second.size() == 1);
  CHECK(memory.take(block_bytes + 1).empty());
  const auto third = memory.take(block_bytes);
  CHECK(!third.empty() && memory.take(1).empty());
  memory.give_back(first);
  memory.give_back(third);
  CHECK(memory.take(3 * block_bytes).empty());
  memory.give_back(second);
  CHECK(memory.take(4 * block_bytes).size() == 4 * block_bytes);
}

void joined_by_typescript(Checks& t) {
  const Image image(object_bytes, block_bytes);
  const auto origin = std::make_shared<FakeOrigin>();
  auto& table = *image.file->inflight();
  table.set_origin(origin);
  int failures = 0;
  const auto begin = [&](std::uint64_t block) {
    const auto done = [&](auto, bool right) { failures += right ? 0 : 1; };
    CHECK(table.fetch(block * block_bytes, 100, done) == InflightTable::Outcome::waiting);
  };
  begin(3);
  CHECK(table.join(0, 0b0111).empty() && table.join(1, ~0UL).empty());
  const auto coming = table.join(0, 0b1000);
  CHECK(coming.size() == 1);
  for (const auto& fetch : coming) table.release(fetch);  // Not before its end.
  CHECK(table.memory()->resident(0) == 0b1000);
  origin->answer(t, false);
  // It is TypeScript's now.
  const auto failed = image.misses->take_reports();
  CHECK(failures == 1 && failed.size() == 1 && !failed.front().right);
  CHECK(table.memory()->resident(0) == 0b1000 && table.join(0, 0b1000).empty());
  begin(5);
  origin->answer(t);
  const auto here = image.misses->take_reports();
  CHECK(here.size() == 1 && here.front().right && is_image(here.front().fetch->bytes, 5 * block_bytes));
  CHECK(table.join(0, 0b100000).size() == 1 && table.memory()->resident(0) == 0b101000);
  table.release(here.front().fetch);
  table.release(here.front().fetch);
  CHECK(table.memory()->resident(0) == 0b1000 && table.join(0, 0b100000).empty());
  // Reports that nobody takes any more would hold their tables, which hold them.
  begin(7);
  image.misses->close();
  origin->answer(t);
  CHECK(!image.misses->has_reports());
}

/** Everybody at once: readers, an origin that fails now and then, and TypeScript, which promotes, evicts and fetches. */
struct Crowd {
  static constexpr std::uint64_t objects = 2;
  static constexpr int reads_each = 4000;
  /** A promoter that does not run holds its claims meanwhile, and readers are sent elsewhere: they go on until it ran. */
  static constexpr std::chrono::seconds patience{60};

  /** Are fetches given up, whose answers may come while others bring the same blocks? */
  explicit Crowd(bool with_abandons) : abandons(with_abandons) {}

  const bool abandons;

  Image image{objects * object_bytes, block_bytes};
  std::shared_ptr<FakeOrigin> origin = std::make_shared<FakeOrigin>();
  InflightTable& table = *image.file->inflight();
  std::atomic<int> reading{0};
  std::atomic<std::uint64_t> answered{0};
  std::atomic<std::uint64_t> failed{0};
  std::atomic<std::uint64_t> twice{0};
  std::atomic<std::uint64_t> wrong{0};
  /** Fetches under way, by block. */
  std::array<std::atomic<int>, objects * residency::blocks_per_object> coming{};

  void mark(std::uint64_t block, int change) {
    if (coming.at(block).fetch_add(change) + change > 1) twice++;
  }

  [[nodiscard]] bool has_met_both() const { return answered > 100 && failed > 10; }

  void read(unsigned seed) {
    std::mt19937 random(seed);
    const auto deadline = std::chrono::steady_clock::now() + patience;
    for (int k = 0; k < reads_each || (!has_met_both() && std::chrono::steady_clock::now() < deadline); k++) {
      const std::uint64_t offset = random() % (objects * object_bytes - 1);
      const std::size_t room = std::min<std::uint64_t>(3 * block_bytes, objects * object_bytes - offset);
      const std::size_t length = 1 + random() % room;
      std::atomic<int> ends{0};
      const auto done = [&](std::span<const std::shared_ptr<InflightFetch>> fetches, bool right) {
        for (const auto& fetch : fetches) {
          if (right && !is_image(fetch->bytes.first(64), fetch->offset)) wrong++;
        }
        (right ? answered : failed)++;
        ends++;
      };
      if (table.fetch(offset, length, done) == InflightTable::Outcome::elsewhere) {
        std::this_thread::yield();
        continue;
      }
      while (ends == 0) std::this_thread::yield();
      if (ends != 1) wrong++;
    }
    reading--;
  }

  void answer() {
    std::mt19937 random(77);
    while (reading > 0 || !origin->idle()) {
      FakeOrigin::Asked asked;
      if (!origin->take(asked)) {
        std::this_thread::yield();
        continue;
      }
      for (std::uint64_t at = 0; at < asked.target.size(); at += block_bytes) mark((asked.offset + at) / block_bytes, 1);
      if (random() % 2 == 0) std::this_thread::yield();
      for (std::uint64_t at = 0; at < asked.target.size(); at += block_bytes) mark((asked.offset + at) / block_bytes, -1);
      FakeOrigin::answer(asked, random() % 8 != 0);
    }
  }

  /** As src/cache/fetch does it. */
  void promote() {
    std::mt19937 random(99);
    std::vector<std::shared_ptr<InflightFetch>> here;
    bool is_over = false;
    while (!is_over) {
      is_over = reading == 0 && origin->idle();
      for (auto& report : image.misses->take_reports()) {
        if (report.right) here.push_back(std::move(report.fetch));
        else table.memory()->resident(report.fetch->object).fetch_and(~report.fetch->blocks);
      }
      for (const auto& fetch : here) {
        const auto resident = image.file->table()->resident(fetch->object);
        if (random() % 4 != 0) resident.fetch_or(fetch->blocks);
        table.release(fetch);
        if (random() % 2 == 0) resident.fetch_and(~fetch->blocks);
      }
      here.clear();
      const std::uint64_t object = random() % objects;
      const std::uint64_t block = random() % residency::blocks_per_object;
      const std::uint64_t mask = std::uint64_t{1} << block;
      const auto claimed = table.memory()->resident(object);
      if ((image.file->table()->resident(object) & mask) == 0 && (claimed.fetch_or(mask) & mask) == 0) {
        mark(object * residency::blocks_per_object + block, 1);
        std::this_thread::yield();
        mark(object * residency::blocks_per_object + block, -1);
        image.file->table()->resident(object).fetch_or(mask);
        claimed.fetch_and(~mask);
        image.file->table()->resident(object).fetch_and(~mask);
      } else if (random() % 16 == 0) {
        (void)table.join(object, mask);
      }
      if (abandons && random() % 64 == 0) (void)image.misses->abandon_older(std::chrono::milliseconds(0));
    }
  }
};

void crowd_with(Checks& t, bool abandons) {
  Crowd crowd(abandons);
  crowd.table.set_origin(crowd.origin);
  constexpr unsigned readers = 3;
  crowd.reading = readers;
  std::vector<std::thread> threads;
  for (unsigned seed = 0; seed < readers; seed++) threads.emplace_back([&, seed] { crowd.read(seed); });
  threads.emplace_back([&] { crowd.answer(); });
  threads.emplace_back([&] { crowd.promote(); });
  for (auto& thread : threads) thread.join();
  // Fetches that ended after the last look.
  for (auto& report : crowd.image.misses->take_reports()) {
    if (report.right) crowd.table.release(report.fetch);
    else crowd.table.memory()->resident(report.fetch->object).fetch_and(~report.fetch->blocks);
  }
  CHECK(crowd.has_met_both());
  CHECK(crowd.wrong == 0 && (abandons || crowd.twice == 0));
  for (std::uint64_t object = 0; object < Crowd::objects; object++) CHECK(crowd.table.memory()->resident(object) == 0);
  CHECK(!crowd.image.misses->memory()->take(image::MissEngine::memory_bytes).empty());
}

void crowd(Checks& t) { crowd_with(t, false); }

void impatient_crowd(Checks& t) { crowd_with(t, true); }

}  // namespace
}  // namespace inflight_table_suite

Tests inflight_table_tests() {
  using namespace inflight_table_suite;
  return {
      {"memory of fetches is taken in whole pages, first fit, and merged when it comes back", memory},
      {"TypeScript joins a native fetch: it hears how that ended, and has its claim when it failed", joined_by_typescript},
      {"readers, origin and TypeScript at once: each block is fetched once, no claim and no memory stay", crowd},
      {"the same while fetches are given up: each read ends once, with right bytes", impatient_crowd},
  };
}

}  // namespace parentfs::test
