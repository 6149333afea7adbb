/** store/shelf: what is found there, what is told, and whose memory may go when. */
#include "image/readahead-buffer.h"

#include <atomic>
#include <thread>
#include <vector>

#include "disk/aligned-buffer.h"
#include "test/fake-kernel.h"
#include "test/images.h"
#include "test/suites.h"
#include "wire/fuse.h"

namespace parentfs::test {

namespace shelf_suite {
namespace {

constexpr std::uint64_t KiB = 1024;
constexpr std::uint64_t fh = 77;

std::vector<std::byte> joined(const image::ReadaheadBuffer::Found& found) {
  std::vector<std::byte> bytes;
  for (const iovec& part : found.parts()) {
    const auto* begin = static_cast<const std::byte*>(part.iov_base);
    bytes.insert(bytes.end(), begin, begin + part.iov_len);
  }
  return bytes;
}

void finds_what_is_whole(Checks& t) {
  image::ReadaheadBuffer shelf;
  CHECK(shelf.empty() && !shelf.look(0, 10).whole());
  const auto first = image_bytes(64 * KiB, 64 * KiB);
  const auto second = image_bytes(128 * KiB, 10 * KiB);
  CHECK(shelf.put(64 * KiB, first, 64 * KiB, 0) && shelf.put(128 * KiB, second, 64 * KiB, 0));
  CHECK(!shelf.empty());
  const auto expect = [&](std::uint64_t offset, std::size_t length, bool whole) {
    const auto found = shelf.look(offset, length);
    CHECK(found.whole() == whole);
    CHECK(!whole || (joined(found).size() == length && is_image(joined(found), offset)));
    CHECK(whole || found.parts().empty());
  };
  expect(64 * KiB, 64 * KiB, true);
  expect(64 * KiB + 1, 1, true);
  expect(127 * KiB, 2 * KiB, true);
  expect(64 * KiB, 74 * KiB, true);
  expect(64 * KiB, 74 * KiB + 1, false);
  expect(64 * KiB - 1, 2, false);
  expect(0, 64 * KiB, false);
  expect(138 * KiB, 1, false);
  expect(70 * KiB, 0, false);
  shelf.release_bytes(64 * KiB);
  expect(64 * KiB, 1, false);
  expect(127 * KiB, 2 * KiB, false);
  expect(128 * KiB, 1, true);
  shelf.remove(128 * KiB);
  expect(128 * KiB, 1, false);
  CHECK(!shelf.empty());
  shelf.clear();
  CHECK(shelf.empty());
}

void refuses_what_touches(Checks& t) {
  image::ReadaheadBuffer shelf;
  const auto bytes = image_bytes(0, 64 * KiB);
  CHECK(!shelf.put(0, {}, 1, 0) && !shelf.put(0, bytes, 0, 0));
  CHECK(shelf.put(64 * KiB, bytes, KiB, 0));
  CHECK(!shelf.put(64 * KiB, bytes, KiB, 0) && !shelf.put(KiB, bytes, KiB, 0) && !shelf.put(127 * KiB, bytes, KiB, 0));
  CHECK(shelf.put(0, bytes, KiB, 0) && shelf.put(128 * KiB, bytes, KiB, 0));
}

/** More ranges than native threads answer from at once. */
void many_parts(Checks& t) {
  image::ReadaheadBuffer shelf;
  std::vector<std::vector<std::byte>> all;
  for (std::uint64_t k = 0; k < 5; k++) all.push_back(image_bytes(k * KiB, KiB));
  for (std::uint64_t k = 0; k < 5; k++) CHECK(shelf.put(k * KiB, all[k], KiB, 0));
  CHECK(shelf.look(0, 4 * KiB).whole() && shelf.look(KiB, 4 * KiB).whole());
  const auto found = shelf.look(0, 5 * KiB);
  CHECK(!found.whole() && found.parts().empty());
}

void tells_once(Checks& t) {
  image::ReadaheadBuffer shelf;
  const auto bytes = image_bytes(0, 256 * KiB);
  CHECK(shelf.put(0, bytes, 64 * KiB, 0b0010));
  CHECK(shelf.look(0, 10).news() && !shelf.look(20, 10).news());
  CHECK(!shelf.look(64 * KiB, 64 * KiB).news());
  CHECK(shelf.look(100 * KiB, 64 * KiB).news() && !shelf.look(128 * KiB, 10).news());
  shelf.release_bytes(0);
  CHECK(shelf.look(192 * KiB, 10).news());
  CHECK(!shelf.look(200 * KiB, 10).news());
  CHECK(shelf.look(255 * KiB, KiB).news());
  CHECK(!shelf.look(192 * KiB, 64 * KiB).news());
  // More units than bits: the last one stands for the rest.
  image::ReadaheadBuffer many;
  CHECK(many.put(0, bytes, KiB, 0));
  CHECK(many.look(62 * KiB, KiB).news() && many.look(63 * KiB, KiB).news() && !many.look(200 * KiB, KiB).news());
  CHECK(many.look(255 * KiB, KiB).news());
}

void waits_for_readers(Checks& t) {
  image::ReadaheadBuffer shelf;
  const auto bytes = image_bytes(0, 64 * KiB);
  CHECK(shelf.put(0, bytes, 64 * KiB, 0));
  for (const bool removes : {false, true}) {
    std::atomic<bool> gone{false};
    auto found = shelf.look(0, 64 * KiB);
    CHECK(found.whole());
    std::thread taker([&] {
      if (removes) shelf.remove(0);
      if (!removes) shelf.release_bytes(0);
      gone = true;
    });
    CHECK(until([&] { return !shelf.look(0, 1).whole(); }));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    CHECK(!gone && is_image(joined(found), 0));
    found = image::ReadaheadBuffer::Found();
    taker.join();
    CHECK(gone);
    if (!removes) {
      shelf.remove(0);
      CHECK(shelf.put(0, bytes, 64 * KiB, 0));
    }
  }
}

/** Readers see right bytes or none, though the memory is used for something else as soon as it was taken back. */
void memory_is_used_again(Checks& t) {
  constexpr std::size_t length = 256 * KiB;
  image::ReadaheadBuffer shelf;
  std::atomic<bool> over{false};
  std::atomic<int> seen{0};
  std::vector<std::thread> readers;
  for (int k = 0; k < 3; k++) {
    readers.emplace_back([&, k] {
      while (!over) {
        const std::uint64_t offset = (static_cast<std::uint64_t>(k) * 1021) % (length - 4 * KiB);
        const auto found = shelf.look(offset, 4 * KiB);
        if (found.whole()) {
          CHECK(is_image(joined(found), offset));
          seen++;
        } else {
          std::this_thread::yield();
        }
      }
    });
  }
  const auto right = image_bytes(0, length);
  std::vector<std::byte> memory(length);
  for (int round = 0; round < 300 || seen < 100; round++) {
    std::copy(right.begin(), right.end(), memory.begin());
    CHECK(shelf.put(0, memory, length, 0));
    std::this_thread::yield();
    if (round % 2 == 0) shelf.release_bytes(0);
    if (round % 2 == 0) std::fill(memory.begin(), memory.end(), std::byte{0});
    shelf.remove(0);
    std::fill(memory.begin(), memory.end(), std::byte{0});
  }
  over = true;
  for (std::thread& reader : readers) reader.join();
}

/** A session answers from it, whatever the table says, and tells of it. */
void session_answers(Checks& t) {
  Rig rig;
  const Image image(3'000'000, 4096);
  image.promote(0, 0, 16);
  rig.session.bind(fh, image.file);
  const auto bytes = image_bytes(64 * KiB, 1024 * KiB);
  CHECK(image.file->shelf().put(64 * KiB, bytes, 1024 * KiB, 0));
  const auto ask = [&](std::uint64_t offset, std::uint32_t size) {
    rig.kernel.ask(read_request(1, fh, offset, size));
    const auto answer = rig.kernel.answer();
    CHECK(answer && answer->header.error == 0 && answer->bytes.size() == size && is_image(answer->bytes, offset));
  };
  const auto expect_told = [&](std::uint64_t offset, std::uint32_t size) {
    const auto told = rig.next_reports();
    CHECK(told.size() == 1);
    if (told.empty()) return;
    const auto& head = told.front();
    CHECK(head.kind == session::ReadReports::buffer_touched && head.fh == fh && head.microseconds == 0);
    CHECK(head.offset == offset && head.length == size);
  };
  ask(100 * KiB, 4096);
  expect_told(100 * KiB, 4096);
  ask(200 * KiB, 128 * KiB);
  ask(1024 * KiB, 64 * KiB);
  expect_told(1024 * KiB, 64 * KiB);
  CHECK(rig.session.counters().forwarded == 0);
  CHECK(image.file->table()->last_use(0) == 5);
  // Partly in the store, partly here: not for native threads.
  const auto mixed = read_request(2, fh, 60 * KiB, 8 * KiB);
  rig.kernel.ask(mixed);
  CHECK(rig.next_forwarded() == mixed);
  // Ranges that were let go, and are in the store, are told all the same.
  image.file->shelf().remove(64 * KiB);
  CHECK(image.file->shelf().put(0, std::span(bytes).first(64 * KiB), 64 * KiB, 0));
  image.file->shelf().release_bytes(0);
  ask(0, 4096);
  expect_told(0, 4096);
}

/** Past the page cache or through it, what is landed can be read, also zeros and a tail that is no page. */
void lands_past_the_page_cache(Checks& t) {
  constexpr std::uint32_t block_bytes = 64 * KiB;
  constexpr std::size_t length = 40 * block_bytes + 5000;
  const Image image(length, block_bytes);
  const disk::AlignedBuffer memory((length + 8191) / 4096 * 4096);
  for (const std::size_t misplaced : {std::size_t{0}, std::size_t{512}}) {
    const auto bytes = memory.bytes().subspan(misplaced, length);
    const auto right = image_bytes(0, length);
    std::copy(right.begin(), right.end(), bytes.begin());
    std::fill(bytes.begin() + 3 * block_bytes, bytes.begin() + 5 * block_bytes, std::byte{0});
    const auto landed = image.file->write_blocks(0, bytes, image::Medium::disk);
    CHECK(landed.ok() && landed.value().zero == 0b11000 && landed.value().sums.size() == 41);
    image.file->table()->resident(0).store(~std::uint64_t{0});
    std::vector<std::byte> read(length);
    CHECK(image.file->read_all(0, read, 1) && std::equal(read.begin(), read.end(), bytes.begin()));
    image.file->table()->resident(0).store(0);
  }
}

}  // namespace
}  // namespace shelf_suite

Tests shelf_tests() {
  using namespace shelf_suite;
  return {{"a read is answered from the shelf when all of it is there", finds_what_is_whole},
          {"ranges on the shelf do not touch each other", refuses_what_touches},
          {"a read of more ranges than four is not answered from the shelf", many_parts},
          {"the first read of each unit is told, and the first that comes to the end", tells_once},
          {"bytes are not let go while somebody reads them", waits_for_readers},
          {"memory of the shelf can be used again when it was taken back", memory_is_used_again},
          {"a session answers from the shelf, and tells of it", session_answers},
          {"what is landed past the page cache is there", lands_past_the_page_cache}};
}

}  // namespace parentfs::test
