/** fuse2/: the loop that libfuse 2 gets, over a library that is a socket. */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "libfuse2/loop.h"
#include "owned-fd.h"
#include "test/suites.h"

/** Stand-ins for libfuse's own: a session and a channel that know their filesystem. */
struct fuse_session {
  struct fuse* owner;
};
struct fuse_chan {
  struct fuse* owner;
};
struct fuse {
  fuse_session session{this};
  fuse_chan channel{this};
  parentfs::OwnedFd kernel;
  parentfs::OwnedFd device;
  std::atomic<bool> exited = false;
  /** Threads in receive and in process, and the most there were. */
  std::atomic<int> receiving = 0;
  std::atomic<int> receiving_most = 0;
  std::atomic<int> working = 0;
  std::atomic<int> working_most = 0;
  /** Requests wait for it. */
  std::mutex gate;
  std::mutex answers_mutex;
  std::vector<std::uint32_t> answers;
};

namespace {

/** The answer of receive in place of a request. */
constexpr std::uint32_t interrupted = 0xffff0001;
constexpr std::uint32_t taken_back = 0xffff0002;
constexpr std::uint32_t broken = 0xffff0003;
/** Taken back as well, but not before the loop has met its end. */
constexpr std::uint32_t taken_back_late = 0xffff0004;

/** Counts who is inside. */
class Visit {
 public:
  Visit(std::atomic<int>& inside, std::atomic<int>& most) : inside_(inside) {
    const int now = ++inside_;
    for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
    }
  }
  ~Visit() { --inside_; }
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

 private:
  std::atomic<int>& inside_;
};

}  // namespace

#define LIBRARY extern "C" __attribute__((visibility("default")))

LIBRARY fuse_session* fuse_get_session(fuse* handle) { return &handle->session; }
LIBRARY fuse_chan* fuse_session_next_chan(fuse_session* session, fuse_chan* /*after*/) {
  return &session->owner->channel;
}
LIBRARY std::size_t fuse_chan_bufsize(fuse_chan* /*channel*/) { return 4096; }
LIBRARY int fuse_chan_fd(fuse_chan* channel) { return channel->owner->device.get(); }
LIBRARY void fuse_session_exit(fuse_session* session) { session->owner->exited = true; }
LIBRARY int fuse_session_exited(fuse_session* session) { return session->owner->exited ? 1 : 0; }

LIBRARY int fuse_chan_recv(fuse_chan** from, char* buffer, std::size_t bytes) {
  fuse& library = *(*from)->owner;
  const Visit visit(library.receiving, library.receiving_most);
  const ssize_t got = ::recv(library.device.get(), buffer, bytes, 0);
  if (got < 0) return -errno;
  std::uint32_t number = 0;
  if (got == sizeof number) std::copy_n(buffer, sizeof number, reinterpret_cast<char*>(&number));
  if (number == interrupted) return -EINTR;
  if (number == taken_back) return -EAGAIN;
  if (number == broken) return -EIO;
  if (number == taken_back_late) {
    return parentfs::test::until([&] { return library.exited.load(); }) ? -EAGAIN : -ETIMEDOUT;
  }
  return static_cast<int>(got);
}

LIBRARY void fuse_session_process(fuse_session* session, const char* buffer, std::size_t /*bytes*/,
                                  fuse_chan* /*from*/) {
  fuse& library = *session->owner;
  std::uint32_t number = 0;
  std::copy_n(buffer, sizeof number, reinterpret_cast<char*>(&number));
  {
    const Visit visit(library.working, library.working_most);
    const std::lock_guard waited(library.gate);
  }
  const std::lock_guard lock(library.answers_mutex);
  library.answers.push_back(number);
}

LIBRARY int fuse_loop_mt(fuse* handle);

namespace parentfs::test {

namespace fuse2_suite {
namespace {

/** As src/base/limits.ts and libfuse2/loop.cc say. */
constexpr int threads_max = 64;
constexpr int readers_max = 4;

/** A loop that runs until the kernel hangs up. */
struct Mounted {
  Mounted() {
    std::array<int, 2> fds{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds.data()) != 0) std::abort();
    library.kernel = OwnedFd(fds[0]);
    // A loop that has ended must not hold up the test.
    const timeval patience{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(fds[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    library.device = OwnedFd(fds[1]);
    loop = std::thread([this] { outcome = ::fuse_loop_mt(&library); });
  }
  ~Mounted() {
    if (loop.joinable()) end();
  }
  Mounted(const Mounted&) = delete;
  Mounted& operator=(const Mounted&) = delete;

  void ask(std::uint32_t number) const {
    if (::send(library.kernel.get(), &number, sizeof number, MSG_NOSIGNAL) < 0) std::abort();
  }

  /** The requests, in order of the numbers. */
  std::vector<std::uint32_t> answered() {
    const std::lock_guard lock(library.answers_mutex);
    std::vector<std::uint32_t> numbers = library.answers;
    std::ranges::sort(numbers);
    return numbers;
  }

  /** The unmount. @returns what the loop returned */
  int end() {
    library.kernel.reset();
    loop.join();
    return outcome;
  }

  fuse library;
  int outcome = 1;
  std::thread loop;
};

std::vector<std::uint32_t> numbers_to(std::uint32_t count) {
  std::vector<std::uint32_t> numbers(count);
  for (std::uint32_t k = 0; k < count; k++) numbers[k] = k;
  return numbers;
}

void each_once(Checks& t) {
  Mounted mounted;
  constexpr std::uint32_t count = 5000;
  for (std::uint32_t k = 0; k < count; k++) mounted.ask(k);
  CHECK(until([&] { return mounted.answered().size() >= count; }));
  CHECK((::fcntl(mounted.library.device.get(), F_GETFD) & FD_CLOEXEC) != 0);
  const std::uint32_t own = libfuse2::latest_loop();
  CHECK(own > 0 && libfuse2::is_running(own) && !libfuse2::is_running(own + 1));
  CHECK(mounted.end() == 0);
  CHECK(!libfuse2::is_running(own) && libfuse2::latest_loop() == own);
  CHECK(mounted.answered() == numbers_to(count));
  CHECK(mounted.library.receiving_most <= readers_max);
}

void bounded(Checks& t) {
  Mounted mounted;
  constexpr std::uint32_t count = 100;
  {
    const std::lock_guard closed(mounted.library.gate);
    for (std::uint32_t k = 0; k < count; k++) mounted.ask(k);
    CHECK(until([&] { return mounted.library.working == threads_max; }));
    CHECK(mounted.answered().empty());
  }
  CHECK(until([&] { return mounted.answered().size() >= count; }));
  CHECK(mounted.end() == 0);
  CHECK(mounted.answered() == numbers_to(count));
  CHECK(mounted.library.working_most == threads_max);
}

void goes_on(Checks& t) {
  Mounted mounted;
  for (std::uint32_t k = 0; k < 200; k++) {
    mounted.ask(k % 2 == 0 ? interrupted : taken_back);
    mounted.ask(k);
  }
  CHECK(until([&] { return mounted.answered().size() >= 200; }));
  CHECK(mounted.end() == 0);
  CHECK(mounted.answered() == numbers_to(200));
}

void fails(Checks& t) {
  Mounted mounted;
  mounted.ask(0);
  CHECK(until([&] { return mounted.answered().size() == 1; }));
  mounted.ask(broken);
  CHECK(until([&] { return mounted.library.exited.load(); }));
  CHECK(mounted.end() == -1);
}

void taken_back_at_the_end(Checks& t) {
  Mounted mounted;
  {
    const std::lock_guard closed(mounted.library.gate);
    for (std::uint32_t k = 0; k < 10; k++) mounted.ask(k);
    CHECK(until([&] { return mounted.library.working == 10; }));
  }
  CHECK(until([&] { return mounted.answered().size() == 10 && mounted.library.receiving == readers_max; }));
  mounted.ask(taken_back_late);
  CHECK(mounted.end() == 0);
}

void ends_at_work(Checks& t) {
  Mounted mounted;
  {
    const std::lock_guard closed(mounted.library.gate);
    for (std::uint32_t k = 0; k < 10; k++) mounted.ask(k);
    CHECK(until([&] { return mounted.library.working == 10; }));
    mounted.library.kernel.reset();
    CHECK(until([&] { return mounted.library.exited.load(); }));
  }
  CHECK(mounted.end() == 0);
  CHECK(mounted.answered() == numbers_to(10));
}

void not_there(Checks& t) { CHECK(!libfuse2::load("/nowhere/libfuse.so.2").empty()); }

}  // namespace
}  // namespace fuse2_suite

Tests fuse2_tests() {
  using namespace fuse2_suite;
  return {
      {"the loop of libfuse 2 hands over each request once, and four threads at most wait for one", each_once},
      {"64 requests are under way at most; the others wait, and come", bounded},
      {"a receive that was interrupted, or taken back, ends nothing", goes_on},
      {"a descriptor that fails ends the loop with an error", fails},
      {"a receive that is taken back when the end has come is no failure", taken_back_at_the_end},
      {"an unmount waits for what is under way", ends_at_work},
      {"a library that is not there is said", not_there},
  };
}

}  // namespace parentfs::test
