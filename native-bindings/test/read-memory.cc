/** Memory of reads of a cluster: taken over by the next ones, and gone with the last. */
#include "rbd/read-memory.h"

#include "test/suites.h"

namespace parentfs::test {

namespace read_memory_suite {
namespace {

using rbd::ReadMemory;

void taken_over(Checks& t) {
  ReadMemory memory;
  auto other = memory.take(2048);
  auto first = memory.take(1024);
  const auto* const place = first.get();
  memory.give_back(std::move(first), 1024);
  CHECK(memory.kept_bytes() == 1024);
  auto longer = memory.take(2048);
  CHECK(longer.get() != place);
  auto next = memory.take(1024);
  CHECK(next.get() == place);
  CHECK(memory.kept_bytes() == 0);
  memory.give_back(std::move(next), 1024);
  memory.give_back(std::move(longer), 2048);
  memory.give_back(std::move(other), 2048);
}

void never_more_than_under_way(Checks& t) {
  ReadMemory memory;
  std::vector<ReadMemory::Bytes> lent(8);
  for (auto& each : lent) each = memory.take(1024);
  for (std::size_t left = lent.size(); left-- > 0;) {
    memory.give_back(std::move(lent[left]), 1024);
    CHECK(memory.kept_bytes() <= left * 1024);
    CHECK(left == 0 || memory.kept_bytes() > 0);
  }
  CHECK(memory.kept_bytes() == 0);
}

}  // namespace
}  // namespace read_memory_suite

Tests read_memory_tests() {
  using namespace read_memory_suite;
  return {{"read memory: the next read of a length takes over what another one gave back", taken_over},
          {"read memory: no more is kept than is under way", never_more_than_under_way}};
}

}  // namespace parentfs::test
