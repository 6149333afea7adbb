/** librbd/: frames, and the table of parents. */
#include <array>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>

#include "librbd/admission.h"
#include "librbd/frames.h"
#include "librbd/parent-table.h"
#include "session/object-entries.h"
#include "test/images.h"
#include "test/librbd-frames.h"
#include "test/suites.h"

namespace parentfs::test {

namespace librbd_suite {
namespace {

using namespace std::chrono_literals;
using librbd::AnswerKind;
using librbd::FrameType;
using Clock = librbd::ParentTable::Clock;

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

void frames(Checks& t) {
  const std::string whole = ask_frame(7);
  librbd::Frame frame{};
  CHECK(librbd::first_frame(bytes_of(whole), frame) == librbd::Found::whole);
  CHECK(frame.sequence == 7 && frame.bytes == whole.size());
  const auto ask = librbd::read_ask(frame);
  CHECK(ask && ask->pool_id == 1 && ask->snapshot_id == 4 && ask->object == "rbd_data.1.0000000000000001");
  CHECK(ask && ask->name_space.empty() && ask->object_bytes == std::uint64_t{1} << 22U);
  for (std::size_t length = 0; length < whole.size(); length++) {
    CHECK(librbd::first_frame(bytes_of(whole).first(length), frame) == librbd::Found::partial);
  }
  // Shorter payloads whose header says so: an ask or none, never bytes from behind.
  for (std::uint32_t cut = 1; cut < whole.size() - librbd::head_bytes - librbd::preamble_bytes; cut++) {
    std::string shorter = whole.substr(0, whole.size() - cut);
    const auto length = static_cast<std::uint32_t>(shorter.size() - librbd::head_bytes);
    std::memcpy(&shorter[2], &length, sizeof length);
    CHECK(librbd::first_frame(bytes_of(shorter), frame) == librbd::Found::whole);
    const auto found = librbd::read_ask(frame);
    CHECK(!found || found->object_bytes == 0);
  }
  // Longer than any, or too short for what every frame has.
  const auto with_length = [&](std::size_t bytes) {
    std::string said = whole;
    const auto length = static_cast<std::uint32_t>(bytes);
    std::memcpy(&said[2], &length, sizeof length);
    return librbd::first_frame(bytes_of(said), frame);
  };
  CHECK(with_length(librbd::frame_bytes_max - librbd::head_bytes) == librbd::Found::partial);
  CHECK(with_length(librbd::frame_bytes_max + 1 - librbd::head_bytes) == librbd::Found::broken);
  CHECK(with_length(std::numeric_limits<std::uint32_t>::max()) == librbd::Found::broken);
  CHECK(with_length(librbd::preamble_bytes) == librbd::Found::whole);
  for (std::size_t less = 0; less < librbd::preamble_bytes; less++) CHECK(with_length(less) == librbd::Found::broken);
}

librbd::ParentName name() { return {.pool_id = 1, .snapshot_id = 4, .name_space = "", .prefix = "rbd_data.1"}; }

AnswerKind kind_of(librbd::ParentTable& table, std::string_view object, Clock::time_point now) {
  const librbd::ReadAsk ask{.pool_id = 1, .snapshot_id = 4, .object = object, .name_space = "", .object_bytes = 0};
  return table.answer(ask, now).kind;
}

void cold_objects(Checks& t) {
  librbd::ParentTable table([] {});
  const Image image(16 << 20U, 65536);
  table.set(name(), {.image = 7, .order = 22, .size_bytes = 16 << 20U, .file = image.file, .existing = {}});
  const std::string object = "rbd_data.1.0000000000000001";
  const auto now = Clock::now();
  for (int k = 1; k < 64; k++) CHECK(kind_of(table, object, now) == AnswerKind::cold);
  CHECK(kind_of(table, object, now) == AnswerKind::partial);
  const std::string other = "rbd_data.1.0000000000000002";
  CHECK(kind_of(table, other, now) == AnswerKind::cold);
  CHECK(kind_of(table, other, now + 201ms) == AnswerKind::partial);
  image.promote(2, 0, 1);
  CHECK(table.look(name(), 2) == AnswerKind::partial);
  image.promote(2, 0, 64);
  CHECK(kind_of(table, other, now) == AnswerKind::resident);
  CHECK(table.look(name(), 4) == AnswerKind::malformed);
  table.change(7, image.file, librbd::LeftToCluster::misses);
  CHECK(kind_of(table, other, now) == AnswerKind::resident && kind_of(table, object, now) == AnswerKind::mode);
  table.change(7, nullptr, librbd::LeftToCluster::everything);
  CHECK(kind_of(table, other, now) == AnswerKind::mode);
}

/** More parents that are unknown than may wait: they are asked for again once these are known. */
void unknown_parents(Checks& t) {
  int told = 0;
  librbd::ParentTable table([&] { told++; });
  const auto ask = [&](std::uint64_t pool) {
    const librbd::ReadAsk ask{
        .pool_id = pool, .snapshot_id = 4, .object = "rbd_data.1.0000000000000001", .name_space = "", .object_bytes = 0};
    CHECK(table.answer(ask, Clock::now()).kind == AnswerKind::unknown);
  };
  for (std::uint64_t pool = 1; pool <= librbd::ParentTable::waiting_max + 2; pool++) ask(pool);
  ask(1);
  CHECK(told == 1);
  const auto waiting = table.take_unknown();
  CHECK(waiting.size() == librbd::ParentTable::waiting_max);
  table.refuse(waiting.front(), 0);
  ask(librbd::ParentTable::waiting_max + 1);
  CHECK(table.take_unknown().size() == 1 && told == 2);
}

/** Objects that are evicted while they are in use make the share fall; it comes back by itself. */
void pressure(Checks& t) {
  librbd::ParentTable table([] {});
  table.set_cold_policy({.asks = 1, .time = 0ms});
  const Image image(std::uint64_t{1} << 30U, 65536);
  table.set(name(), {.image = 7, .order = 22, .size_bytes = std::uint64_t{1} << 30U, .file = image.file, .existing = {}});
  const auto asked = [&](Clock::time_point now) {
    int by_path = 0;
    for (int k = 0; k < 256; k++) {
      std::array<char, 32> object{};
      std::snprintf(object.data(), object.size(), "rbd_data.1.%016x", k);
      if (kind_of(table, object.data(), now) == AnswerKind::partial) by_path++;
    }
    return by_path;
  };
  auto now = Clock::now();
  CHECK(asked(now) == 256);
  CHECK(asked(now + 100ms) == 256);  // Their fetches may be on their way.
  now += 11min;
  CHECK(asked(now) == 256);  // They were not in use any more.
  now += 1s;
  CHECK(asked(now) < 256);
  now += 1s;
  const int share = asked(now);
  CHECK(share > 0 && share < 64);
  now += 11min;
  CHECK(asked(now) == 256);
  librbd::Admission least;
  for (int k = 0; k < 1000; k++) least.refetched();
  CHECK(least.share() == librbd::Admission::share_min);
}

void object_entries(Checks& t) {
  session::ObjectEntries entries;
  session::ObjectEntries::Entry entry{};
  entry[127] = std::byte{9};
  const auto found = [&](const char* text) {
    return entries.find(std::as_bytes(std::span(text, std::strlen(text) + 1)));
  };
  const auto number_at = [](const session::ObjectEntries::Entry& bytes, std::size_t at) {
    std::uint64_t number = 0;
    std::memcpy(&number, &bytes[at], sizeof number);
    return number;
  };
  const std::uint64_t size_bytes = (std::uint64_t{1} << 22U) + 5;
  CHECK(!found("80000007a0000001"));
  entries.set(0x80000007, size_bytes, entry);
  const auto last = found("80000007a0000001");
  CHECK(last && number_at(*last, 0) == 0x80000007a0000001 && number_at(*last, 40) == 0x00000007a0000001);
  CHECK(last && number_at(*last, 48) == 5 && number_at(*last, 56) == 1 && (*last)[127] == std::byte{9});
  const auto first = found("80000007a0000000");
  CHECK(first && number_at(*first, 48) == std::uint64_t{1} << 22U);
  for (const char* none : {"80000007a0000002", "80000008a0000000", "80000007A0000000", "80000007a000000", "absent", ""}) {
    CHECK(!found(none));
  }
  CHECK(!entries.find({}) && !entries.find(std::as_bytes(std::span("80000007a0000000", 16))));
  entries.remove(0x80000007);
  CHECK(!found("80000007a0000001"));
}

}  // namespace
}  // namespace librbd_suite

Tests librbd_tests() {
  using namespace librbd_suite;
  return {{"librbd: a frame is whole, partial or broken, whatever its lengths say", frames},
          {"librbd: an object is cold until it is asked for often or again", cold_objects},
          {"librbd: unknown parents wait up to a bound", unknown_parents},
          {"librbd: of more than the cache holds a share is fetched", pressure},
          {"librbd: LOOKUPs of objects are answered natively, others are not", object_entries}};
}

}  // namespace parentfs::test
