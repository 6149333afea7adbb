/** store/faults: what the rules of a test do to a data file. */
#include "disk/fault-injection.h"

#include <cerrno>

#include "disk/crc32c.h"
#include "test/sick-disk.h"
#include "test/suites.h"

namespace parentfs::test {

namespace faults_suite {
namespace {

constexpr std::uint32_t block_bytes = 4096;
using image::Blocking;
using image::ReadOutcome;

void fails_what_it_names(Checks& t) {
  const SickDisk disk(64 * block_bytes, block_bytes);
  disk.say("write ENOSPC\nnonsense\nread EIO x\nsync EROFS once");
  CHECK(disk.promote(0) == ENOSPC);
  CHECK(disk.file->sync() == EROFS);
  CHECK(disk.file->sync() == 0);
  CHECK(disk.file->punch(0, block_bytes) == 0);
  disk.say("punch EIO 4096 4096");
  CHECK(disk.promote(0) == 0 && disk.promote(1) == 0);
  CHECK(disk.file->punch(0, block_bytes) == 0);
  CHECK(disk.file->punch(0, block_bytes + 1) == EIO);
  CHECK(disk.file->punch(2 * block_bytes, block_bytes) == 0);
  CHECK(disk.file->sync() == 0);
}

void unread_is_not_wrong(Checks& t) {
  const SickDisk disk(64 * block_bytes, block_bytes);
  image::Sums sums{};
  for (std::uint64_t k = 0; k < 4; k++) {
    CHECK(disk.promote(k) == 0);
    sums[k] = disk::crc32c(image_bytes(k * block_bytes, block_bytes));
  }
  sums[3]++;
  disk.say("read EIO 8192 1");
  std::vector<std::byte> scratch(block_bytes);
  const auto found = disk.file->verify(0, 0b1111, sums, image::Medium::page_cache, scratch);
  CHECK(found.good == 0b0011 && found.unread == 0b0100);
  CHECK(disk.file->read(2 * block_bytes, scratch, Blocking::no, 1) == ReadOutcome::would_wait);
  CHECK(disk.file->read(2 * block_bytes, scratch, Blocking::yes, 1) == ReadOutcome::miss);
  CHECK(disk.file->read(block_bytes, scratch, Blocking::yes, 1) == ReadOutcome::hit);
}

void stalls_end(Checks& t) {
  const SickDisk disk(64 * block_bytes, block_bytes);
  CHECK(disk.promote(0) == 0);
  disk.say("read stall 30");
  std::vector<std::byte> target(block_bytes);
  const auto begun = std::chrono::steady_clock::now();
  CHECK(disk.file->read(0, target, Blocking::yes, 1) == ReadOutcome::hit);
  CHECK(std::chrono::steady_clock::now() - begun >= std::chrono::milliseconds(30));
  disk.say("read stall 3600000");
  std::atomic<bool> read{false};
  std::thread reader([&] { read = disk.file->read(0, target, Blocking::yes, 1) == ReadOutcome::hit; });
  disk.say("");
  reader.join();
  CHECK(read);
}

}  // namespace
}  // namespace faults_suite

Tests faults_tests() {
  using namespace faults_suite;
  return {
      {"a rule fails what it names, as often as it says, and nothing else", fails_what_it_names},
      {"verification tells blocks that cannot be read from blocks that are wrong", unread_is_not_wrong},
      {"a stall ends at its time, or when its rule has gone", stalls_end},
  };
}

}  // namespace parentfs::test
