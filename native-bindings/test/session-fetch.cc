/** session/: misses that are answered with bytes of the origin. */
#include <atomic>
#include <functional>
#include <iterator>
#include <limits>

#include "test/fake-kernel.h"
#include "test/fake-origin.h"
#include "test/images.h"
#include "test/suites.h"

namespace parentfs::test {

namespace session_fetch_suite {
namespace {

constexpr std::uint32_t block_bytes = 4096;
constexpr std::uint64_t object_bytes = std::uint64_t{block_bytes} * residency::blocks_per_object;
constexpr std::uint64_t fh = 7;
constexpr std::uint64_t unique = 0x42;

/** An image with an origin, of which nothing is held, on a session. */
struct World {
  World() {
    image.file->inflight()->set_origin(origin);
    rig.session.bind(fh, image.file);
  }
  /** A fetch that nobody ended holds its readers, and they hold it. */
  ~World() {
    image.file->inflight()->set_origin(nullptr);
    (void)image.misses->abandon_older(std::chrono::milliseconds(-1));
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  [[nodiscard]] std::uint64_t claimed(std::uint64_t object) const { return image.file->inflight()->memory()->resident(object); }

  Rig rig;
  Image image{8 * object_bytes, block_bytes};
  std::shared_ptr<FakeOrigin> origin = std::make_shared<FakeOrigin>();
};

void expect_answer(Checks& t, const World& world, std::uint64_t offset, std::size_t length, std::uint64_t id = unique) {
  const auto answer = world.rig.kernel.answer();
  CHECK(answer && answer->header.unique == id && answer->header.error == 0);
  CHECK(answer && answer->bytes.size() == length && is_image(answer->bytes, offset));
}

void whole_blocks(Checks& t) {
  World world;
  const std::uint64_t offset = 2 * object_bytes + 3 * block_bytes + 96;
  world.rig.kernel.ask(read_request(unique, fh, offset, 5000));
  const auto asked = world.origin->next(t);
  CHECK(asked.offset == 2 * object_bytes + 3 * block_bytes && asked.target.size() == 2 * block_bytes);
  CHECK(world.claimed(2) == 0b11000);
  const auto begun = world.rig.next_reports();
  CHECK(begun.size() == 1 && begun.front().kind == session::ReadReports::origin_read_begun);
  FakeOrigin::answer(asked);
  expect_answer(t, world, offset, 5000);
  CHECK(world.image.file->table()->last_use(2) == 5);
  const auto done = world.rig.next_reports();
  CHECK(done.size() == 1 && done.front().kind == session::ReadReports::origin_read_done);
  for (const auto& told : {begun, done}) {
    CHECK(!told.empty() && told.front().fh == fh && told.front().offset == offset && told.front().length == 5000);
  }
  CHECK(!done.empty() && done.front().microseconds < 60'000'000);
  CHECK(world.rig.forwarded().empty() && world.rig.session.counters().forwarded == 0);
}

void sampled(Checks& t) {
  World world;
  world.rig.clock.sampled_below = std::numeric_limits<std::uint32_t>::max();
  world.rig.kernel.ask(read_request(unique, fh, object_bytes + 10, 2 * block_bytes));
  const auto asked = world.origin->next(t);
  // Before it is answered: a sample lives by the order of the reads.
  std::vector<session::UseSamples::Sample> samples;
  CHECK(until([&] { return !(samples = world.rig.session.take_samples()).empty(); }));
  CHECK(samples.size() == 1 && samples.front().object == 1 && samples.front().blocks == 0b111 && samples.front().reads == 1);
  FakeOrigin::answer(asked);
  expect_answer(t, world, object_bytes + 10, 2 * block_bytes);
  world.rig.kernel.ask(read_request(unique, fh, object_bytes - 1, 2));  // Of two objects: TypeScript's.
  CHECK(!world.rig.next_forwarded().empty());
  CHECK(world.rig.session.take_samples().empty());
}

void joined(Checks& t) {
  World world;
  world.rig.kernel.ask(read_request(1, fh, 0, 100));
  const auto first = world.origin->next(t);
  world.rig.kernel.ask(read_request(2, fh, 50, 2 * block_bytes));
  const auto rest = world.origin->next(t);
  CHECK(rest.offset == block_bytes && rest.target.size() == 2 * block_bytes);
  FakeOrigin::answer(rest);
  CHECK(!world.rig.kernel.answer(20).has_value());
  FakeOrigin::answer(first);
  const auto answers = {world.rig.kernel.answer(), world.rig.kernel.answer()};
  for (const auto& answer : answers) {
    CHECK(answer && answer->header.error == 0 && is_image(answer->bytes, answer->header.unique == 1 ? 0 : 50));
  }
  // Here, and not in the store yet: nothing is asked.
  world.rig.kernel.ask(read_request(3, fh, block_bytes + 7, 100));
  expect_answer(t, world, block_bytes + 7, 100, 3);
  CHECK(world.origin->idle());
}

void held_and_missing(Checks& t) {
  World world;
  if (skip_without_nowait(t, *world.image.file)) return;
  world.image.promote(1, 0, 2);
  world.image.promote(1, 3, 1);
  world.rig.kernel.ask(read_request(unique, fh, object_bytes + 10, 5 * block_bytes - 20));
  FakeOrigin::Asked one = world.origin->next(t);
  FakeOrigin::Asked other = world.origin->next(t);
  CHECK(one.target.size() == block_bytes && other.target.size() == block_bytes);
  FakeOrigin::answer(one);
  FakeOrigin::answer(other);
  expect_answer(t, world, object_bytes + 10, 5 * block_bytes - 20);
}

void left_to_typescript(Checks& t) {
  World world;
  const auto expect_forward = [&](const std::vector<std::byte>& request) {
    world.rig.kernel.ask(request);
    CHECK(world.rig.next_forwarded() == request);
    CHECK(world.origin->idle());
  };
  auto& claims = *world.image.file->inflight()->memory();
  expect_forward(read_request(unique, fh, object_bytes - 1, 2));  // Of two objects.
  claims.resident(1) = 0b100;                                     // TypeScript fetches a block of it.
  expect_forward(read_request(unique, fh, object_bytes, 3 * block_bytes));
  CHECK(world.claimed(1) == 0b100);
  static_cast<image::InflightTable::Claims*>(claims.data())[2].unverified = 1;  // TypeScript looks at the disk first.
  expect_forward(read_request(unique, fh, 2 * object_bytes, 100));
  CHECK(world.claimed(2) == 0);
  world.origin->close();
  expect_forward(read_request(unique, fh, 3 * object_bytes, 100));  // It cannot be asked now.
  CHECK(world.claimed(3) == 0);
  world.image.file->inflight()->set_origin(nullptr);
  expect_forward(read_request(unique, fh, 4 * object_bytes, 100));
  CHECK(world.rig.session.take_reports().empty());
}

void failing(Checks& t) {
  World world;
  const auto request = read_request(unique, fh, 0, 100);
  world.rig.kernel.ask(request);
  world.origin->answer(t, false);
  CHECK(world.rig.next_forwarded() == request);
  CHECK(!world.rig.kernel.answer(0).has_value() && world.claimed(0) == 0);
  CHECK(world.image.misses->take_reports().empty());
}

void late_answer(Checks& t) {
  World world;
  const auto request = read_request(unique, fh, 0, 100);
  world.rig.kernel.ask(request);
  const auto asked = world.origin->next(t);
  CHECK(world.rig.session.forward_unanswered(std::chrono::hours(1)) == 0);
  CHECK(world.image.misses->abandon_older(std::chrono::hours(1)) == 0);
  CHECK(until([&] { return world.image.misses->abandon_older(std::chrono::milliseconds(1)) == 1; }));
  CHECK(world.rig.next_forwarded() == request && world.rig.waited_ms >= 1);
  CHECK(world.claimed(0) == 0);
  FakeOrigin::answer(asked);
  CHECK(!world.rig.kernel.answer(50).has_value());
  CHECK(world.rig.forwarded().empty() && world.image.misses->take_reports().empty());
  world.rig.kernel.ask(request);
  CHECK(world.origin->next(t).offset == 0);
  CHECK(until([&] { return world.rig.session.forward_unanswered(std::chrono::milliseconds(1)) == 1; }));
  CHECK(world.rig.next_forwarded() == request && world.rig.waited_ms >= 1);
}

void without_room(Checks& t) {
  World world;
  std::vector<std::span<std::byte>> taken;
  for (auto piece = world.image.misses->memory()->take(block_bytes); !piece.empty();
       piece = world.image.misses->memory()->take(block_bytes)) {
    taken.push_back(piece);
  }
  const auto request = read_request(unique, fh, 0, 100);
  world.rig.kernel.ask(request);
  CHECK(world.rig.next_forwarded() == request);
  CHECK(world.claimed(0) == 0 && world.origin->idle());
  for (const auto piece : taken) world.image.misses->memory()->give_back(piece);
  world.rig.kernel.ask(request);
  world.origin->answer(t);
  expect_answer(t, world, 0, 100);
}

/** Reports that nobody takes are bounded: one READ more than they have room for is TypeScript's. */
void unread_reports(Checks& t) {
  World world;
  const auto request = read_request(unique, fh, 0, 1);
  world.rig.kernel.ask(request);
  world.origin->answer(t);
  expect_answer(t, world, 0, 1);
  CHECK(until([&] { return world.rig.session.has_reports(); }));
  constexpr std::size_t most = session::ReadReports::waiting_bytes_max / sizeof(session::ReadReports::Record);
  for (std::size_t asked = 1, answered = 1; asked < most + 3 && world.rig.session.counters().forwarded == 0;) {
    // Near the bound one after the other: two threads may look at it at once.
    for (std::size_t batch = asked + 128 < most ? 64 : 1; batch > 0; batch--, asked++) world.rig.kernel.ask(request);
    CHECK(until([&] {
      while (world.rig.kernel.answer(0)) answered++;
      return answered + world.rig.session.counters().forwarded == asked;
    }));
  }
  CHECK(world.rig.session.counters().forwarded == 1);
  CHECK(world.rig.next_forwarded() == request);
  CHECK(world.rig.session.take_reports().size() == session::ReadReports::waiting_bytes_max + sizeof(session::ReadReports::Record));
  world.rig.kernel.ask(request);
  expect_answer(t, world, 0, 1);
}

/** An origin that does something while it is asked whether it may be read, and then says no. */
struct RefusingOrigin final : image::OriginReader {
  std::function<void()> meanwhile;
  [[nodiscard]] bool may_read(std::uint64_t /*offset*/, std::size_t /*length*/) const override {
    meanwhile();
    return false;
  }
  bool read(std::uint64_t /*offset*/, std::span<std::byte> /*target*/, Done /*done*/) override { return false; }
};

void taken_meanwhile(Checks& t) {
  World world;
  const auto refusing = std::make_shared<RefusingOrigin>();
  std::atomic<std::size_t> taken = 0;
  refusing->meanwhile = [&] { taken += world.rig.session.forward_unanswered(std::chrono::milliseconds(-1)); };
  world.image.file->inflight()->set_origin(refusing);
  const auto request = read_request(unique, fh, 0, 1);
  world.rig.kernel.ask(request);
  CHECK(world.rig.next_forwarded() == request);
  // The next one comes behind a second copy.
  auto other = read_request(unique, fh + 1, 0, 1);
  for (int k = 0; k < 2; k++) world.rig.kernel.ask(other);
  CHECK(world.rig.next_forwarded(2).size() == 2);
  CHECK(taken == 1 && world.rig.session.counters().forwarded == 3);
}

/** The session ends while an origin hangs; its answer, when it comes, touches nothing. */
void hanging_origin(Checks& t) {
  const auto origin = std::make_shared<FakeOrigin>();
  FakeOrigin::Asked asked;
  {
    const Image image(object_bytes, block_bytes);
    Rig rig;
    image.file->inflight()->set_origin(origin);
    rig.session.bind(fh, image.file);
    rig.kernel.ask(read_request(unique, fh, 0, 100));
    asked = origin->next(t);
    rig.session.stop();
    rig.session.join();  // Before the origin answers.
    CHECK(rig.ends == 1);
  }
  FakeOrigin::answer(asked);
}

}  // namespace
}  // namespace session_fetch_suite

Tests session_fetch_tests() {
  using namespace session_fetch_suite;
  return {
      {"a miss fetches the whole blocks that cover it, is answered, and told of", whole_blocks},
      {"a miss that is fetched is sampled at once, and one that is handed over is not", sampled},
      {"a miss joins what is on its way, or here", joined},
      {"a miss is put together of what came and what is resident", held_and_missing},
      {"other misses are handed over as they came, and nothing is claimed", left_to_typescript},
      {"a READ whose fetch fails is handed over", failing},
      {"a READ that its origin does not answer is handed over, once, and a late answer is dropped", late_answer},
      {"without room for its bytes a READ is handed over", without_room},
      {"a miss is handed over while too many reports of others wait", unread_reports},
      {"a miss that was handed over as overdue is not handed over again when its origin refuses", taken_meanwhile},
      {"a session ends while an origin hangs", hanging_origin},
  };
}

}  // namespace parentfs::test
