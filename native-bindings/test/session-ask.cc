/** session/: first reads of objects, asked of where the image lives. */
#include <algorithm>
#include <cstring>
#include <deque>

#include "mutex.h"
#include "test/fake-kernel.h"
#include "test/images.h"
#include "test/suites.h"

namespace parentfs::test {

namespace {

constexpr std::uint32_t block_bytes = 4096;
constexpr std::uint64_t object_bytes = std::uint64_t{block_bytes} * residency::blocks_per_object;
constexpr std::uint64_t fh = 7;
constexpr std::uint64_t unique = 0x42;

/** A source that answers when it is told to, as it is told to. */
class FakeSource final : public image::OriginReader {
 public:
  struct Asked {
    std::uint64_t offset;
    std::span<std::byte> target;
    Done done;
  };

  bool read(std::uint64_t offset, std::span<std::byte> target, Done done) override {
    const Lock lock(mutex_);
    if (closed_) return false;
    asked_.push_back({.offset = offset, .target = target, .done = std::move(done)});
    return true;
  }

  void close() {
    const Lock lock(mutex_);
    closed_ = true;
  }

  /** The oldest that was asked, once there is one. */
  Asked next(Checks& t) {
    Asked asked{};
    CHECK(until([&] {
      const Lock lock(mutex_);
      if (asked_.empty()) return false;
      asked = std::move(asked_.front());
      asked_.pop_front();
      return true;
    }));
    return asked;
  }

  [[nodiscard]] bool idle() {
    const Lock lock(mutex_);
    return asked_.empty();
  }

  /** Answer the oldest with the image's bytes. */
  void answer(Checks& t, bool right = true) {
    const Asked asked = next(t);
    if (!asked.done) return;
    std::ranges::copy(image_bytes(asked.offset, asked.target.size()), asked.target.begin());
    asked.done(right);
  }

 private:
  Mutex mutex_;
  std::deque<Asked> asked_ GUARDED_BY(mutex_);
  bool closed_ GUARDED_BY(mutex_) = false;
};

/** An image of which nothing is held, on a session. */
struct World {
  World() {
    image.file->set_first_read_origin(source);
    rig.session.bind(fh, image.file);
  }

  Rig rig;
  Image image{8 * object_bytes, block_bytes};
  std::shared_ptr<FakeSource> source = std::make_shared<FakeSource>();
};

void first_read(Checks& t) {
  World world;
  const std::uint64_t offset = 2 * object_bytes + 3 * block_bytes + 96;
  const auto request = read_request(unique, fh, offset, 1000);
  world.rig.kernel.ask(request);
  world.source->answer(t);
  const auto answer = world.rig.kernel.answer();
  CHECK(answer && answer->header.unique == unique && answer->header.error == 0);
  CHECK(answer && answer->bytes.size() == 1000 && is_image(answer->bytes, offset));
  CHECK(world.image.file->table()->last_use(2) == 5);
  // Left for TypeScript, which is not called for it.
  CHECK(world.rig.calls == 0);
  CHECK(until([&] { return world.rig.session.forward_unanswered(std::chrono::hours(1)) == 0 && world.rig.calls == 1; }));
  const auto told = world.rig.next_reports();
  CHECK(told.size() == 1);
  if (told.empty()) return;
  const auto& head = told.front().head;
  CHECK(head.kind == session::ReadReports::origin_read && head.fh == fh && head.offset == offset && head.length == 1000);
  CHECK(head.microseconds < 60'000'000 && is_image(told.front().bytes, offset));
  CHECK(world.rig.session.forward_unanswered(std::chrono::hours(1)) == 0 && world.rig.calls == 1);
  CHECK(world.rig.forwarded().empty() && world.rig.session.counters().forwarded == 0);
}

void not_asked(Checks& t) {
  World world;
  const auto expect_forward = [&](const std::vector<std::byte>& request) {
    world.rig.kernel.ask(request);
    CHECK(world.rig.next_forwarded() == request);
    CHECK(world.source->idle());
  };
  expect_forward(read_request(unique, fh, block_bytes - 1, 2));      // Across a block's border.
  expect_forward(read_request(unique, fh, 0, 5 * block_bytes));      // Too long.
  world.image.file->table()->last_use(1) = 1;
  expect_forward(read_request(unique, fh, object_bytes, 100));       // Not the first of its object.
  world.rig.kernel.ask(read_request(unique, fh, 0, 100));
  world.source->answer(t);
  CHECK(world.rig.kernel.answer().has_value());
  CHECK(world.rig.next_reports().size() == 1);
  expect_forward(read_request(unique, fh, 2 * block_bytes, 100));    // Nor this, after that.
  world.source->close();
  expect_forward(read_request(unique, fh, 3 * object_bytes, 100));   // Nobody can be asked now.
  world.image.file->set_first_read_origin(nullptr);
  expect_forward(read_request(unique, fh, 4 * object_bytes, 100));   // Nobody may be asked.
  CHECK(world.image.file->table()->last_use(4) == 0);
}

void failing_source(Checks& t) {
  World world;
  const auto request = read_request(unique, fh, 0, 100);
  world.rig.kernel.ask(request);
  world.source->answer(t, false);
  CHECK(world.rig.next_forwarded() == request);
  CHECK(!world.rig.kernel.answer(0).has_value());
}

void late_answer(Checks& t) {
  World world;
  const auto request = read_request(unique, fh, 0, 100);
  world.rig.kernel.ask(request);
  CHECK(until([&] { return !world.source->idle(); }));
  CHECK(world.rig.session.forward_unanswered(std::chrono::hours(1)) == 0);
  CHECK(until([&] { return world.rig.session.forward_unanswered(std::chrono::milliseconds(1)) == 1; }));
  CHECK(world.rig.next_forwarded() == request);
  world.source->answer(t);
  CHECK(!world.rig.kernel.answer(50).has_value());
  CHECK(world.rig.forwarded().empty());
}

void many_at_once(Checks& t) {
  Rig rig;
  const Image image((session::Session::asks_max + 1) * object_bytes, block_bytes);
  const auto source = std::make_shared<FakeSource>();
  image.file->set_first_read_origin(source);
  rig.session.bind(fh, image.file);
  for (std::uint64_t k = 0; k <= session::Session::asks_max; k++) {
    rig.kernel.ask(read_request(k, fh, k * object_bytes, 100));
  }
  CHECK(rig.next_forwarded().size() == 80);
  CHECK(rig.session.counters().forwarded == 1);
  for (std::size_t k = 0; k < session::Session::asks_max; k++) source->answer(t);
  for (std::size_t k = 0; k < session::Session::asks_max; k++) CHECK(rig.kernel.answer().has_value());
}

/** TypeScript takes no reports. */
void no_reports_taken(Checks& t) {
  constexpr std::uint64_t bytes = image::DataFile::ask_bytes_max;
  constexpr std::uint64_t asks = session::ReadReports::waiting_bytes_max / (bytes + 32) + 1;
  const Image image((asks + 2) * bytes * residency::blocks_per_object, bytes);
  Rig rig;
  const auto source = std::make_shared<FakeSource>();
  image.file->set_first_read_origin(source);
  rig.session.bind(fh, image.file);
  const auto request = [&](std::uint64_t k) {
    return read_request(k, fh, k * bytes * residency::blocks_per_object, static_cast<std::uint32_t>(bytes));
  };
  for (std::uint64_t k = 0; k < asks; k++) {
    rig.kernel.ask(request(k));
    source->answer(t);
    CHECK(rig.kernel.answer().has_value());
  }
  rig.kernel.ask(request(asks));
  CHECK(rig.next_forwarded() == request(asks) && source->idle());
  CHECK(rig.next_reports().size() == asks);
  rig.kernel.ask(request(asks + 1));
  source->answer(t);
  CHECK(rig.kernel.answer().has_value());
}

/** The session ends while a source hangs; its answer, when it comes, touches nothing. */
void hanging_source(Checks& t) {
  const auto source = std::make_shared<FakeSource>();
  FakeSource::Asked asked;
  {
    const Image image(object_bytes, block_bytes);
    Rig rig;
    image.file->set_first_read_origin(source);
    rig.session.bind(fh, image.file);
    rig.kernel.ask(read_request(unique, fh, 0, 100));
    asked = source->next(t);
    const auto since = std::chrono::steady_clock::now();
    rig.session.stop();
    rig.session.join();
    CHECK(std::chrono::steady_clock::now() - since < 3 * session::Session::stop_patience);
    CHECK(rig.ends == 1);
  }
  std::ranges::copy(image_bytes(0, asked.target.size()), asked.target.begin());
  asked.done(true);
}

}  // namespace

Tests session_ask_tests() {
  return {
      {"the first read of an object is asked of its source, answered, and told of", first_read},
      {"other reads are not, and are handed over as they came", not_asked},
      {"a READ that its source cannot answer is handed over", failing_source},
      {"a READ that its source does not answer is handed over, once, and a late answer is dropped", late_answer},
      {"one more than may be asked at once is handed over", many_at_once},
      {"nobody is asked while too many reports wait to be taken", no_reports_taken},
      {"a session ends while a source hangs", hanging_source},
  };
}

}  // namespace parentfs::test
