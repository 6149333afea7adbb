/** store/store-threads: order, fairness and the end. */
#include "disk/store-threads.h"

#include <atomic>

#include "test/suites.h"

namespace parentfs::test {

namespace store_threads_suite {
namespace {

using disk::Lane;
using disk::StoreThreads;

void writes_leave_room(Checks& t) {
  std::atomic<int> writing{0};
  std::atomic<bool> go{false};
  std::atomic<int> reads{0};
  StoreThreads threads(4);
  for (int k = 0; k < 10; k++) {
    CHECK(threads.submit(Lane::write, [&](auto) {
      writing++;
      while (!go) std::this_thread::yield();
    }));
  }
  CHECK(until([&] { return writing == 3; }));
  for (int k = 0; k < 10; k++) CHECK(threads.submit(Lane::read, [&](auto) { reads++; }));
  CHECK(until([&] { return reads == 10; }));
  CHECK(writing == 3);
  go = true;
  CHECK(until([&] { return writing == 10; }));
}

void reads_leave_room(Checks& t) {
  std::atomic<int> reading{0};
  std::atomic<bool> go{false};
  std::atomic<int> writes{0};
  StoreThreads threads(4);
  const auto read = [&](auto) {
    reading++;
    while (!go) std::this_thread::yield();
  };
  CHECK(threads.submit(Lane::write, [&](auto) {
    writes++;
    while (reading < 2) std::this_thread::yield();
  }));
  CHECK(until([&] { return writes == 1; }));
  for (int k = 0; k < 3; k++) CHECK(threads.submit(Lane::write, [&](auto) { writes++; }));
  for (int k = 0; k < 20; k++) CHECK(threads.submit(Lane::read, read));
  CHECK(until([&] { return writes == 4; }));
  CHECK(reading < 20);
  go = true;
  CHECK(until([&] { return reading == 20; }));
}

void queue_runs_dry(Checks& t) {
  std::atomic<int> done{0};
  StoreThreads threads(2);
  for (int k = 0; k < 500; k++) CHECK(threads.submit(k % 2 == 0 ? Lane::read : Lane::write, [&](auto) { done++; }));
  threads.close();
  CHECK(done == 500);
  CHECK(!threads.submit(Lane::read, [&](auto) { done++; }));
  threads.close();
  CHECK(done == 500);
}

void scratch(Checks& t) {
  std::atomic<bool> right{false};
  StoreThreads threads(1);
  CHECK(threads.submit(Lane::write, [&](std::span<std::byte> bytes) {
    bytes.back() = std::byte{1};
    right = bytes.size() == StoreThreads::scratch_bytes && reinterpret_cast<std::uintptr_t>(bytes.data()) % 4096 == 0;
  }));
  threads.close();
  CHECK(right);
}

}  // namespace
}  // namespace store_threads_suite

Tests store_threads_tests() {
  using namespace store_threads_suite;
  return {
      {"writes never take all store threads, and reads go before them", writes_leave_room},
      {"reads that come without end leave threads to writes that wait", reads_leave_room},
      {"closing does what is queued, and refuses what comes after", queue_runs_dry},
      {"a job gets a scratch buffer of its thread's own", scratch},
  };
}

}  // namespace parentfs::test
