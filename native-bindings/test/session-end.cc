/** session/: how a session ends. */
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <iterator>

#include "test/fake-kernel.h"
#include "test/images.h"
#include "test/suites.h"

namespace parentfs::test {

namespace session_end_suite {
namespace {

void stop_blocked(Checks& t) {
  for (int k = 0; k < 20; k++) {
    // As in a process that never had a session: a signal before its handler would end it.
    std::signal(SIGRTMIN + 3, SIG_DFL);
    Rig rig(4);
    rig.session.stop();
    rig.session.stop();
    rig.session.join();
    CHECK(rig.ends == 1 && rig.end_error == 0);
  }
}

void hang_up(Checks& t) {
  Rig rig(4);
  rig.kernel.hang_up();
  CHECK(until([&] { return rig.ends == 1; }));
  CHECK(rig.end_error == ENODEV);
  rig.session.stop();
  rig.session.join();
  CHECK(rig.ends == 1 && rig.end_error == ENODEV);
}

/** An empty message ends the thread that reads it: the others would go on for ever. */
void one_cannot_read(Checks& t) {
  Rig rig(4);
  rig.kernel.ask({});
  CHECK(until([&] { return rig.ends == 1; }));
  CHECK(rig.end_error == ENODEV);
}

void bad_descriptor(Checks& t) {
  session::Clock clock;
  disk::StoreThreads store_threads(1);
  std::atomic<int> said{-1};
  session::Session session(-1, 3, store_threads, clock, {.on_waiting = [] {}, .on_end = [&](int e) { said = e; }});
  CHECK(until([&] { return said == EBADF; }));
}

/** One of several threads reads a message that ends it: the others wait in read(2) and have to be woken. */
void stop_under_load(Checks& t) {
  const Image image(3'000'000, 4096);
  image.promote_all();
  Rig rig(4);
  rig.session.bind(1, image.file);
  std::atomic<bool> go{true};
  std::atomic<std::uint64_t> answers{0};
  std::thread drain([&] {
    while (go) {
      while (rig.kernel.answer(1)) answers++;
    }
  });
  for (std::uint64_t k = 0; k < 300; k++) rig.kernel.ask(read_request(k, 1, k * 4096, 4096));
  rig.session.stop();
  rig.session.join();
  CHECK(rig.ends == 1 && rig.end_error == 0);
  const auto hits = rig.session.counters().hits;
  CHECK(until([&] { return answers == hits; }));
  go = false;
  drain.join();
}

/** Threads of this process. */
std::size_t threads_now() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<std::size_t>(std::distance(begin(tasks), end(tasks)));
}

/** A READ that needs a store thread while all of them are busy keeps the session from ending. */
void deferred_reply_first(Checks& t) {
  const Image image(3'000'000, 4096);
  image.promote_all();
  Rig rig(2, 1);
  rig.session.bind(1, image.file);
  std::atomic<bool> go{false};
  CHECK(rig.store_threads.submit(disk::Lane::read, [&](auto) {
    while (!go) std::this_thread::yield();
  }));
  // Beyond what the file still has: without patience that looks like a read that would wait.
  CHECK(::ftruncate(image.file->fd(), 1'000'000) == 0);
  rig.kernel.ask(read_request(7, 1, 999'000, 4096));
  std::atomic<bool> joined{false};
  CHECK(until([&] { return image.file.use_count() >= 4; }));  // Ours, two bindings, and the deferred read.
  const std::size_t threads_with_session = threads_now();
  rig.session.stop();
  std::thread joiner([&] {
    rig.session.join();
    joined = true;
  });
  // Its threads end, and then a session that does not wait would say so at once.
  CHECK(until([&] { return image.file.use_count() >= 4 && threads_now() == threads_with_session - 2 + 1; }));
  CHECK(!until([&] { return rig.ends == 1 || joined; }, std::chrono::milliseconds(50)));
  CHECK(::ftruncate(image.file->fd(), 3'000'000) == 0);
  go = true;
  const auto answer = rig.kernel.answer();
  CHECK(answer && answer->header.unique == 7 && answer->bytes.size() == 4096);
  joiner.join();
  CHECK(rig.ends == 1 && rig.end_error == 0);
}

void bindings_are_dropped(Checks& t) {
  const Image image(3'000'000, 4096);
  Rig rig(3);
  rig.session.bind(1, image.file);
  rig.session.bind(2, image.file);
  CHECK(image.file.use_count() == 7);
  rig.session.unbind(1);
  CHECK(image.file.use_count() == 4);
  rig.session.stop();
  rig.session.join();
  CHECK(image.file.use_count() == 1);
}

}  // namespace
}  // namespace session_end_suite

Tests session_end_tests() {
  using namespace session_end_suite;
  return {
      {"stop wakes threads that wait in read(2), and says 0 once", stop_blocked},
      {"a session whose device has gone ends with ENODEV, once", hang_up},
      {"a session ends when one of its threads cannot read", one_cannot_read},
      {"a session that cannot read ends with the reason", bad_descriptor},
      {"stop under load answers what was taken", stop_under_load},
      {"a session does not end before its last answer on a store thread", deferred_reply_first},
      {"bindings are dropped by unbind and by the end", bindings_are_dropped},
  };
}

}  // namespace parentfs::test
