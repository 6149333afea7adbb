/** image/: what session threads may take of an origin. */
#include "image/grant.h"

#include <array>
#include <atomic>
#include <memory>
#include <span>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "test/suites.h"

namespace parentfs::test {

namespace grant_suite {
namespace {

using image::Grant;

void slots(Checks& t) {
  Grant grant(false, false);
  CHECK(!grant.begin(1) && grant.limit(2) == 0);
  CHECK(grant.begin(1) && grant.begin(1) && !grant.begin(1) && grant.limit(1) == 2);
  grant.end();
  CHECK(!grant.begin(1) && grant.limit(1) == 1);
  grant.end();
  CHECK(grant.begin(1) && grant.limit(0) == 1);
  grant.give_back(1);
  CHECK(grant.limit(0) == 0);
  const auto [reads, bytes] = grant.refill({.reads = 5, .bytes = 5});
  CHECK(reads == 0 && bytes == 0);
}

void rations(Checks& t) {
  Grant grant(true, true);
  (void)grant.limit(10);
  CHECK(!grant.begin(1));
  auto [reads, bytes] = grant.refill({.reads = 2, .bytes = 100});
  CHECK(reads == 2 && bytes == 100);
  CHECK(!grant.begin(101) && grant.begin(60) && !grant.begin(41) && grant.limit(10) == 1);
  grant.give_back(60);
  CHECK(grant.begin(100) && !grant.begin(1));
  std::tie(reads, bytes) = [&] {
    const auto added = grant.refill({.reads = 1, .bytes = 50});
    return std::pair(added.reads, added.bytes);
  }();
  CHECK(reads == 0 && bytes == 50 && grant.begin(50) && !grant.begin(0));
}

/** A reader that ends what it was asked when it is told to. */
class HeldReader final : public image::OriginReader {
 public:
  bool read(std::uint64_t /*offset*/, std::span<std::byte> /*target*/, Done done) override {
    if (refuses) return false;
    asked.push_back(std::move(done));
    return true;
  }
  bool refuses = false;
  std::vector<Done> asked;
};

void readers(Checks& t) {
  const auto grant = std::make_shared<Grant>(true, false);
  const auto held = std::make_shared<HeldReader>();
  image::GrantedReader reader(held, grant);
  std::array<std::byte, 8> target{};
  int right = 0;
  const auto done = [&](bool is_right) { right += is_right ? 1 : 100; };
  CHECK(!reader.read(0, target, done) && held->asked.empty());
  (void)grant->limit(1);
  (void)grant->refill({.reads = 2, .bytes = 0});
  held->refuses = true;
  CHECK(!reader.read(0, target, done) && grant->limit(1) == 0);
  held->refuses = false;
  CHECK(reader.read(0, target, done) && !reader.read(0, target, done) && grant->limit(1) == 1);
  held->asked.front()(false);
  CHECK(right == 100 && grant->limit(1) == 0 && reader.read(0, target, [&](bool) { CHECK(grant->limit(1) == 0); }));
  held->asked.back()(true);
  CHECK(!reader.read(0, target, done));
}

/** Never more at once than allowed, and no byte is given twice. */
void many_threads(Checks& t) {
  constexpr unsigned reads_max = 3;
  constexpr std::uint64_t rounds = 2000;
  Grant grant(false, true);
  (void)grant.limit(reads_max);
  std::atomic<unsigned> under_way{0};
  std::atomic<std::uint64_t> taken{0};
  std::atomic<bool> is_over{false};
  std::vector<std::thread> threads;
  for (unsigned k = 0; k < 4; k++) {
    threads.emplace_back([&] {
      while (!is_over) {
        if (!grant.begin(7)) continue;
        CHECK(under_way.fetch_add(1) < reads_max);
        taken += 7;
        under_way--;
        grant.end();
      }
    });
  }
  std::uint64_t given = 0;
  for (std::uint64_t k = 0; k < rounds; k++) given += grant.refill({.reads = 0, .bytes = 20}).bytes;
  is_over = true;
  for (std::thread& thread : threads) thread.join();
  CHECK(taken <= given && given - taken <= 20 && grant.limit(0) == 0);
}

}  // namespace
}  // namespace grant_suite

Tests grant_tests() {
  using namespace grant_suite;
  return {{"so many reads are under way at once", slots},
          {"rations are used up, and refilled to their mark", rations},
          {"a granted reader gives back what it does not use", readers},
          {"threads share a grant, and none takes what is not there", many_threads}};
}

}  // namespace parentfs::test
