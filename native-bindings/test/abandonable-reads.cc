/** session/: READs that a store thread does not answer in time. */
#include "session/abandonable-reads.h"

#include "test/fake-kernel.h"
#include "test/sick-disk.h"
#include "syscalls/files.h"
#include "test/suites.h"

namespace parentfs::test {

namespace deferred_reads_suite {
namespace {

constexpr std::uint32_t block_bytes = 4096;
using std::chrono::milliseconds;

/** A session on a disk that hangs: the file, two bindings of it, and nothing else hold it. */
struct HangingRig {
  HangingRig() {
    if (disk.promote(0) != 0) std::abort();
    rig.session.bind(1, disk.file);
    disk.say("read stall 3600000");
  }
  ~HangingRig() { disk.say(""); }

  /** Ask, and wait until the READ is on its way to a store thread. */
  [[nodiscard]] bool ask(std::uint64_t unique) const {
    const auto held = disk.file.use_count();
    rig.kernel.ask(read_request(unique, 1, 0, block_bytes));
    return until([&] { return disk.file.use_count() > held; });
  }

  SickDisk disk{64 * block_bytes, block_bytes};
  Rig rig{2, 1};
};

void overdue(Checks& t) {
  HangingRig hanging;
  Rig& rig = hanging.rig;
  CHECK(hanging.ask(7));
  CHECK(hanging.ask(8));  // Behind the other: there is one store thread.
  CHECK(rig.session.forward_overdue(milliseconds(3'600'000)) == 0);
  std::size_t handed = 0;
  CHECK(until([&] { return (handed += rig.session.forward_overdue(milliseconds(1))) == 2; }));
  CHECK(rig.session.forward_overdue(milliseconds(0)) == 0);
  const auto requests = rig.forwarded();
  CHECK(requests.size() == 2 && requests.at(0) == read_request(7, 1, 0, block_bytes));
  CHECK(requests.size() == 2 && requests.at(1) == read_request(8, 1, 0, block_bytes));
  hanging.disk.say("");
  CHECK(until([&] { return hanging.disk.file.use_count() == 3; }));
  CHECK(!rig.kernel.answer(0).has_value());
  CHECK(rig.session.counters().deferred == 0 && rig.forwarded().empty());
  rig.kernel.ask(read_request(9, 1, 0, block_bytes));
  const auto answer = rig.kernel.answer();
  CHECK(answer && answer->header.unique == 9 && answer->bytes.size() == block_bytes);
}

void answered_in_time(Checks& t) {
  HangingRig hanging;
  CHECK(hanging.ask(7));
  hanging.disk.say("");
  const auto answer = hanging.rig.kernel.answer();
  CHECK(answer && answer->header.unique == 7 && is_image(answer->bytes, 0));
  CHECK(until([&] { return hanging.rig.session.counters().deferred == 1; }));
  CHECK(hanging.rig.session.forward_overdue(milliseconds(0)) == 0);
}

void not_allowed(Checks& t) {
  HangingRig hanging;
  if (skip_without_nowait(t, *hanging.disk.file)) return;
  Rig& rig = hanging.rig;
  const auto request = read_request(7, 1, 0, block_bytes);
  rig.session.defer_reads(false);
  rig.kernel.ask(request);
  CHECK(rig.next_forwarded() == request);
  hanging.disk.say("");
  rig.kernel.ask(request);
  CHECK(rig.kernel.answer().has_value());  // The page cache answers.
  rig.session.defer_reads(true);
  hanging.disk.say("read stall 30");
  rig.kernel.ask(request);
  CHECK(rig.kernel.answer().has_value());
  CHECK(until([&] { return rig.session.counters().deferred == 1; }));
}

/** Of a block, also while it is being read. */
bool has_page(const SickDisk& disk, std::uint64_t block) {
  return syscalls::is_cached(disk.file->fd(), block * block_bytes, block_bytes);
}

/** Blocks 0, 20 and 40 are on the disk, and not in memory. @returns false, and skips, where that cannot be seen */
bool is_on_disk_alone(Checks& t, const SickDisk& disk) {
  CHECK(disk.promote(20) == 0 && disk.promote(40) == 0 && syscalls::sync_data(disk.file->fd()) == 0);
  CHECK(syscalls::drop_pages(disk.file->fd(), 0, 64 * block_bytes) == 0);
  const bool is_so = syscalls::can_tell_cached() && pages_of(*disk.file, 64 * block_bytes) == 0;
  if (!is_so) t.skip("the kernel cannot tell what the page cache has (Linux 6.5), or the files lie in memory");
  return is_so;
}

void begins_nothing(Checks& t) {
  HangingRig hanging;
  if (!is_on_disk_alone(t, hanging.disk)) return;
  hanging.disk.say("");
  const auto request = read_request(7, 1, 40 * block_bytes, block_bytes);
  hanging.rig.session.defer_reads(false);
  hanging.rig.kernel.ask(request);
  CHECK(hanging.rig.next_forwarded() == request);
  CHECK(!has_page(hanging.disk, 40));
}

/** One read fewer than the bound begins; the next one is left to the store thread, which hangs. */
void begins_no_more(Checks& t) {
  HangingRig hanging;
  if (!is_on_disk_alone(t, hanging.disk)) return;
  const SickDisk& disk = hanging.disk;
  disk.say("read stall 3600000 0 4096");
  for (std::uint64_t k = 0; k + 1 < session::Session::waiting_for_disk_max; k++) CHECK(hanging.ask(k));
  bool is_answered = false;
  const auto waits = [&](std::uint64_t block) {
    const auto held = disk.file.use_count();
    hanging.rig.kernel.ask(read_request(block, 1, block * block_bytes, block_bytes));
    return until([&] { return (is_answered = hanging.rig.kernel.answer(0).has_value()) || disk.file.use_count() > held; });
  };
  // A disk that is quick enough answers it.
  CHECK(waits(20) && (is_answered || has_page(disk, 20)));
  CHECK(hanging.ask(100));
  CHECK(waits(40) && !is_answered && !has_page(disk, 40));
}

/** The store thread comes back when the session is long gone: it must not touch it. */
void hung_at_the_end(Checks& t) {
  const SickDisk disk(64 * block_bytes, block_bytes);
  CHECK(disk.promote(0) == 0);
  disk.say("read stall 3600000");
  const FakeKernel kernel;
  session::Clock clock;
  disk::StoreThreads store_threads(1);
  std::atomic<int> ended{-1};
  {
    session::Session session(kernel.device(), 2, store_threads, clock,
                             {.on_waiting = [] {}, .on_end = [&](int error) { ended = error; }});
    session.bind(1, disk.file);
    kernel.ask(read_request(7, 1, 0, block_bytes));
    CHECK(until([&] { return disk.file.use_count() == 4; }));
  }
  CHECK(ended == 0 && disk.file.use_count() == 2);
  disk.say("");
  CHECK(until([&] { return disk.file.use_count() == 1; }));
  CHECK(!kernel.answer(0).has_value());
}

}  // namespace
}  // namespace deferred_reads_suite

Tests deferred_reads_tests() {
  using namespace deferred_reads_suite;
  return {
      {"a READ that is overdue is handed over once, and its late answer is dropped", overdue},
      {"a READ that is answered in time is not handed over", answered_in_time},
      {"when READs may not be deferred, only the page cache answers", not_allowed},
      {"when READs may not be deferred, no read of the disk begins", begins_nothing},
      {"session threads begin no read of the disk while many wait for it", begins_no_more},
      {"a session ends although a store thread hangs, which then keeps off it", hung_at_the_end},
  };
}

}  // namespace parentfs::test
