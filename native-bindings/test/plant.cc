/**
 * One fault for each sanitizer. A run in which it is not reported means that the sanitizer sleeps.
 */
#include <cstdint>
#include <cstdio>
#include <thread>
#include <vector>

#include "test/suites.h"

namespace parentfs::test {

namespace {

/** Read one past the end of a heap block. */
void plant_address() {
  const std::vector<int> numbers(4);
  volatile std::size_t past = numbers.size();
  std::printf("%d\n", numbers.data()[past]);
}

/** Overflow a signed number. */
void plant_undefined() {
  volatile std::int32_t number = INT32_MAX;
  number = number + 1;
  std::printf("%d\n", number);
}

/** Write one number from two threads. */
void plant_thread() {
  volatile int number = 0;
  const auto add = [&number] {
    for (int k = 0; k < 1000; k++) number = number + 1;
  };
  std::thread one(add);
  std::thread other(add);
  one.join();
  other.join();
  std::printf("%d\n", number);
}

}  // namespace

void plant(const std::string& fault) {
  if (fault == "address") plant_address();
  if (fault == "undefined") plant_undefined();
  if (fault == "thread") plant_thread();
}

}  // namespace parentfs::test
