/** session/: what is answered natively, and what is handed over. */
#include "session/session.h"

#include <fcntl.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <numeric>

#include "image/bypassed-pages.h"
#include "image/drop-behind.h"
#include "test/fake-kernel.h"
#include "test/images.h"
#include "test/suites.h"

namespace parentfs::test {

namespace session_suite {
namespace {

constexpr std::uint32_t block_bytes = 4096;
constexpr std::uint64_t fh = 0xFFFF'0000'1234'5678;
constexpr std::uint64_t unique = 0x8000'0000'0000'0042;

std::uint64_t sum_of(const session::Latencies::Counts& counted) {
  return std::accumulate(counted.counts.begin(), counted.counts.end(), std::uint64_t{0});
}

/** Each border of a bucket, and one nanosecond beyond it. */
void latencies(Checks& t) {
  using std::chrono::nanoseconds;
  const auto bucket_of = [](nanoseconds took) {
    session::Latencies alone;
    session::Latencies shared;
    alone.count_alone(took);
    shared.count_shared(took);
    const auto counts = alone.counts().counts;
    const bool same = counts == shared.counts().counts && alone.counts().nanoseconds == shared.counts().nanoseconds;
    return same ? std::find(counts.begin(), counts.end(), 1U) - counts.begin() : -1;
  };
  CHECK(bucket_of(nanoseconds(-5)) == 0 && bucket_of(nanoseconds(0)) == 0);
  for (int k = 0; k < 26; k++) {
    CHECK(bucket_of(nanoseconds(1000LL << k)) == k);
    CHECK(bucket_of(nanoseconds((1000LL << k) + 1)) == k + 1);
  }
  CHECK(bucket_of(std::chrono::hours(100)) == 26);
  session::Latencies summed;
  summed.count_alone(nanoseconds(7));
  summed.count_alone(nanoseconds(3'000'000'000));
  CHECK(summed.counts().nanoseconds == 3'000'000'007);
}

void hit(Checks& t) {
  Rig rig;
  const Image image(3'000'000, block_bytes);
  image.promote_all();
  rig.session.bind(fh, image.file);
  const auto ask = [&](std::uint64_t offset, std::uint32_t size, std::size_t expected) {
    rig.kernel.ask(read_request(unique, fh, offset, size));
    const auto answer = rig.kernel.answer();
    CHECK(answer.has_value());
    if (!answer) return;
    CHECK(answer->header.unique == unique && answer->header.error == 0);
    CHECK(answer->header.length == 16 + expected && answer->bytes.size() == expected);
    CHECK(is_image(answer->bytes, offset));
  };
  ask(0, 4096, 4096);
  ask(1, 1, 1);
  ask(255 * 1024 + 7, 131072, 131072);  // Across an object's border.
  ask(100, 1024 * 1024, 1024 * 1024);
  ask(2'999'999, 4096, 1);
  ask(2'990'000, 131072, 10'000);
  ask(3'000'000, 4096, 0);
  ask(~std::uint64_t{0}, 4096, 0);
  ask(5, 0, 0);
  // Each is counted before its answer, and timed after it.
  const auto counters = rig.session.counters();
  CHECK(counters.hits == 9);
  const auto timed = [&] { return sum_of(rig.session.memory_latencies()) + sum_of(rig.session.disk_latencies()); };
  CHECK(until([&] { return timed() == 9; }));
  CHECK(counters.hit_bytes == 4096 + 1 + 131072 + 1048576 + 1 + 10'000);
  CHECK(counters.forwarded == 0 && rig.calls == 0);
  const auto memory = rig.session.memory_latencies();
  const auto disk = rig.session.disk_latencies();
  CHECK(sum_of(disk) == counters.deferred && memory.nanoseconds > 0);
  CHECK(image.file->table()->last_use(0) == 5);
}

void empty_image(Checks& t) {
  Rig rig;
  const Image image(0, block_bytes);
  rig.session.bind(fh, image.file);
  rig.kernel.ask(read_request(unique, fh, 0, 4096));
  const auto answer = rig.kernel.answer();
  CHECK(answer.has_value() && answer->header.error == 0 && answer->bytes.empty());
}

void forwarded_reads(Checks& t) {
  Rig rig;
  const Image image(3'000'000, block_bytes);
  image.promote(0, 0, 10);
  rig.session.bind(fh, image.file);
  const auto expect_forward = [&](const std::vector<std::byte>& request) {
    rig.kernel.ask(request);
    CHECK(rig.next_forwarded() == request);
  };
  expect_forward(read_request(unique, fh + 1, 0, 4096));
  expect_forward(read_request(unique, fh, 9 * block_bytes, block_bytes + 1));
  expect_forward(read_request(unique, fh, 2'999'999, 100));
  expect_forward(read_request(unique, fh, 0, 1024 * 1024 + 1));
  auto other = read_request(unique, fh, 0, 10);
  other[4] = std::byte{3};  // GETATTR.
  expect_forward(other);
  rig.kernel.ask(read_request(unique, fh, 9 * block_bytes, block_bytes));
  CHECK(rig.kernel.answer().has_value());
  rig.session.unbind(fh);
  expect_forward(read_request(unique, fh, 9 * block_bytes, block_bytes));
  CHECK(rig.session.counters().forwarded == 6);
  CHECK(!rig.kernel.answer(0).has_value());
}

void truncated(Checks& t) {
  Rig rig;
  const Image image(3'000'000, block_bytes);
  image.promote_all();
  rig.session.bind(fh, image.file);
  const auto whole = read_request(unique, fh, 0, 4096);
  for (std::size_t length = 40; length < whole.size(); length += 8) {
    auto cut = whole;
    cut.resize(length);
    rig.kernel.ask(cut);
    const auto request = rig.next_forwarded();
    CHECK(request.size() == length);  // And not what its header says.
    CHECK(std::equal(request.begin() + 4, request.end(), cut.begin() + 4));
  }
  auto longer = whole;
  longer.resize(100);
  rig.kernel.ask(longer);
  CHECK(rig.next_forwarded().size() == 100);
  auto shorter = whole;
  shorter.resize(39);
  rig.kernel.ask(shorter);
  rig.kernel.ask(whole);
  CHECK(rig.kernel.answer().has_value());
  CHECK(rig.session.counters().forwarded == 6);
}

void replies(Checks& t) {
  Rig rig;
  CHECK(rig.session.reply(unique, 2, {}) == 0);
  const auto failure = rig.kernel.answer();
  CHECK(failure && failure->header.unique == unique && failure->header.error == -2 && failure->header.length == 16);
  const auto bytes = image_bytes(0, 100);
  CHECK(rig.session.reply(unique, 0, bytes) == 0);
  const auto answer = rig.kernel.answer();
  CHECK(answer && answer->header.length == 116 && answer->header.error == 0 && answer->bytes == bytes);
  CHECK(rig.session.notify(7, bytes) == 0);
  const auto notification = rig.kernel.answer();
  CHECK(notification && notification->header.unique == 0 && notification->header.error == 7);
}

void one_call_a_batch(Checks& t) {
  Rig rig(1);
  const Image image(3'000'000, block_bytes);
  image.promote_all();
  rig.session.bind(fh + 1, image.file);
  for (std::uint64_t k = 0; k < 50; k++) rig.kernel.ask(read_request(k, fh, 0, 4096));
  // The only thread answers it when it has put all others into the queue. They are counted earlier.
  rig.kernel.ask(read_request(unique, fh + 1, 0, 4096));
  CHECK(rig.kernel.answer().has_value());
  CHECK(rig.calls == 1 && rig.session.counters().forwarded == 50);
  CHECK(rig.forwarded().size() == 50);
  rig.kernel.ask(read_request(1, fh, 0, 4096));
  CHECK(until([&] { return rig.calls == 2; }));
  CHECK(rig.forwarded().size() == 1 && rig.forwarded().empty());
}

/** Take a file's pages out of memory. @returns whether the file system did it and says so */
bool drop_pages(const Image& image) {
  const int fd = image.file->fd();
  if (::fdatasync(fd) != 0 || ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0) return false;
  std::vector<std::byte> target(block_bytes);
  return image.file->read(0, target, image::Blocking::no, 0) == image::ReadOutcome::would_wait;
}

void dropped_pages(Checks& t) {
  Rig rig;
  const Image image(3'000'000, block_bytes);
  image.promote_all();
  if (!drop_pages(image)) {
    t.skip("this file system keeps its pages (tmpfs)");
    return;
  }
  rig.session.bind(fh, image.file);
  rig.kernel.ask(read_request(unique, fh, 100, 100'000));
  const auto answer = rig.kernel.answer();
  CHECK(answer && answer->header.error == 0 && answer->bytes.size() == 100'000 && is_image(answer->bytes, 100));
  CHECK(rig.session.counters().deferred == 1);
  CHECK(rig.session.counters().hits == 1 && rig.session.counters().hit_bytes == 100'000);
  CHECK(image.file->table()->last_use(0) == 5);
}

/** A READ as of a file that was opened with these flags. */
std::vector<std::byte> read_request_with(std::uint32_t flags, std::uint64_t offset, std::uint32_t size) {
  auto request = read_request(unique, fh, offset, size);
  std::memcpy(&request[sizeof(wire::InHeader) + offsetof(wire::ReadIn, flags)], &flags, sizeof flags);
  return request;
}

/** The reader of a stream has its pages with the mounted file; one that asked for none has them in the data file. */
void pages_of_readers(Checks& t) {
  constexpr std::uint64_t size = 4 * image::stretch_bytes;
  constexpr std::uint64_t unit = image::BypassedPages::unit_bytes;
  constexpr std::uint32_t step = image::stream_read_bytes_min;
  Rig rig;
  const Image image(size, 65536);
  image.promote_all();
  image::DataFile& file = *image.file;
  CHECK(syscalls::sync_data(file.fd()) == 0 && file.drop_pages(0, size) == 0);
  if (pages_of(file, size) != 0) return t.skip("this file system drops no pages");
  rig.session.bind(fh, image.file);
  const auto ask = [&](std::uint32_t flags, std::uint64_t offset, std::uint32_t length) {
    rig.kernel.ask(read_request_with(flags, offset, length));
    const auto answer = rig.kernel.answer();
    CHECK(answer && answer->bytes.size() == length && is_image(answer->bytes, offset));
  };
  ask(O_DIRECT, 50 * unit + 8192, 4096);
  CHECK(until([&] { return pages_of(file, unit, 50 * unit) == unit / 4096; }));
  const auto stream = [&] {
    for (std::uint64_t at = 0; at < size; at += step) ask(0, at, step);
    return until([&] { return pages_of(file, image::stretch_bytes) == 0; });
  };
  CHECK(stream());  // From the disk.
  std::vector<std::byte> all(size);
  CHECK(file.read_all(0, all, 0) && pages_of(file, image::stretch_bytes) > 0);
  CHECK(stream());  // From memory.
}

void non_blocking_device(Checks& t) {
  const Image image(3'000'000, block_bytes);
  image.promote_all();
  Rig rig;
  rig.session.bind(fh, image.file);
  CHECK(::fcntl(rig.kernel.device(), F_SETFL, O_NONBLOCK) == 0);
  for (std::uint64_t k = 0; k < 100; k++) {
    rig.kernel.ask(read_request(k, fh, k, 100));
    const auto answer = rig.kernel.answer();
    CHECK(answer && answer->header.unique == k && is_image(answer->bytes, k));
  }
  rig.session.stop();
  rig.session.join();
  CHECK(rig.end_error == 0);
}

void lost_bytes(Checks& t) {
  Rig rig;
  const Image image(3'000'000, block_bytes);
  image.promote_all();
  rig.session.bind(fh, image.file);
  CHECK(::ftruncate(image.file->fd(), 2'000'000) == 0);
  const auto request = read_request(unique, fh, 1'999'000, 4096);
  rig.kernel.ask(request);
  CHECK(rig.next_forwarded() == request);
  CHECK(!rig.kernel.answer(0).has_value());
  CHECK(rig.session.counters().hits == 0 && rig.session.counters().deferred == 0);
}

}  // namespace
}  // namespace session_suite

Tests session_tests() {
  using namespace session_suite;
  return {
      {"a READ of resident bytes is answered whole, clamped to the image", hit},
      {"an answer is counted in the bucket of its time", latencies},
      {"a READ of an empty image is answered with nothing", empty_image},
      {"what is not a hit is handed over as it came", forwarded_reads},
      {"a truncated request is handed over with the length it has; less than a header is dropped", truncated},
      {"replies and notifications have the right headers", replies},
      {"the listener is called once until it takes the requests", one_call_a_batch},
      {"a hit that is not in memory is answered by a store thread", dropped_pages},
      {"a stream leaves no pages behind it, and a reader without pages of its own brings them back", pages_of_readers},
      {"a descriptor that does not block is waited for all the same", non_blocking_device},
      {"a store thread that finds too few bytes hands the READ over", lost_bytes},
  };
}

}  // namespace parentfs::test
