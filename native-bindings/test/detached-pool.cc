/** Threads that may hang in a library: how they end, and how many wait for them. */
#include "threads/detached-pool.h"

#include <atomic>
#include <thread>

#include "test/suites.h"

namespace parentfs::test {

namespace detached_pool_suite {
namespace {

using threads::DetachedPool;

std::atomic<int> ended{0};

/** Counts the threads that have ended: one in each. */
struct Ending {
  ~Ending() { ended++; }
};

void threads_end(Checks& t) {
  constexpr int count = 3;
  std::atomic<int> met{0};
  std::atomic<int> done{0};
  {
    DetachedPool pool(count, 8);
    // They wait for each other, so that each thread has one.
    const auto meet = [&met] {
      const thread_local Ending ending;
      met++;
      while (met < count) std::this_thread::yield();
    };
    for (int k = 0; k < count; k++) CHECK(pool.submit(meet));
    CHECK(until([&] { return met == count && pool.running() == 0; }));
    CHECK(ended == 0);
    for (int k = 0; k < 8; k++) pool.submit_end([&done] { done++; });
  }
  CHECK(until([] { return ended == count; }));
  CHECK(done == 8);
}

void full_queue(Checks& t) {
  std::atomic<bool> held{true};
  std::atomic<int> done{0};
  DetachedPool pool(1, 2);
  const auto hang = [&] {
    while (held) std::this_thread::yield();
  };
  CHECK(pool.submit(hang));
  CHECK(until([&] { return pool.running() == 1; }));
  CHECK(pool.submit([&] { done++; }) && pool.submit([&] { done++; }));
  CHECK(!pool.submit([&] { done++; }));
  pool.submit_end([&] { done++; });
  held = false;
  CHECK(until([&] { return done == 3 && pool.running() == 0; }));
}

}  // namespace
}  // namespace detached_pool_suite

Tests detached_pool_tests() {
  using namespace detached_pool_suite;
  return {
      {"the threads of a detached pool do what was handed over, and end with it", threads_end},
      {"a detached pool takes no more than may wait, except for ends", full_queue},
  };
}

}  // namespace parentfs::test
