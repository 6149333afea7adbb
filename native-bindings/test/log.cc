/** log/: lines come in order, nobody waits, and what is lost is counted and told at its place. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "log/writer.h"
#include "test/suites.h"

namespace parentfs::test {

namespace log_suite {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds patience{60'000};

log::WriterOptions options(std::size_t queued_bytes_max = std::size_t{1} << 20) {
  return {.queued_bytes_max = queued_bytes_max, .retry_pause = milliseconds(5), .notice = [](std::uint64_t lost) {
            return "missing " + std::to_string(lost) + "\n";
          }};
}

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) std::abort();
    read = OwnedFd(ends[0]);
    write = OwnedFd(ends[1]);
  }
  /** The same end once more. */
  [[nodiscard]] OwnedFd writing() const { return OwnedFd(::fcntl(write.get(), F_DUPFD_CLOEXEC, 0)); }
  /** The text that has come, until it ends with `last` or nothing comes any more. */
  [[nodiscard]] std::string until_it_ends_with(const std::string& last) const {
    return until([&](const std::string& come) { return come.ends_with(last); });
  }
  /** The same, until it is `enough`. */
  [[nodiscard]] std::string until(const std::function<bool(const std::string&)>& enough) const {
    std::string come;
    std::array<char, 65536> part{};
    pollfd polled{.fd = read.get(), .events = POLLIN, .revents = 0};
    while (!enough(come) && ::poll(&polled, 1, static_cast<int>(patience.count())) == 1) {
      const ssize_t got = ::read(read.get(), part.data(), part.size());
      if (got <= 0) break;
      come.append(part.data(), static_cast<std::size_t>(got));
    }
    return come;
  }

  OwnedFd read;
  OwnedFd write;
};

/** The number of lines that the notices in a log say are missing, all together. */
std::uint64_t missing_in(const std::string& log) {
  constexpr std::string_view notice = "missing ";
  std::uint64_t missing = 0;
  for (auto at = log.find(notice); at != std::string::npos; at = log.find(notice, at + 1)) {
    missing += std::strtoull(log.c_str() + at + notice.size(), nullptr, 10);
  }
  return missing;
}

std::string contents(const std::string& path) {
  const OwnedFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string all(1 << 20, '\0');
  const ssize_t got = ::read(fd.get(), all.data(), all.size());
  all.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return all;
}

void in_order(Checks& t) {
  Directory directory;
  const std::string path = directory.file("log");
  log::Writer writer(OwnedFd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)), options());
  std::string expected;
  for (int k = 0; k < 1000; k++) {
    const std::string line = "line " + std::to_string(k) + "\n";
    CHECK(writer.write(line));
    expected += line;
  }
  CHECK(writer.flush(patience));
  CHECK(contents(path) == expected);
  CHECK(writer.lost() == 0);
}

/** The bound holds at one line more than fits; who stops reading holds up nobody; and what is missing is said where it is missing. */
void nobody_reads(Checks& t) {
  const Pipe pipe;
  const std::string line(4095, 'x');
  std::uint64_t taken = 0;
  log::Writer writer(pipe.writing(), options(std::size_t{256} * 1024));
  // Whatever the pipe takes: at some time the queue is full, and stays so.
  std::uint64_t refused = 0;
  while (refused < 10) (writer.write(line + "\n") ? taken : refused)++;
  CHECK(until([&] { return !writer.write(line + "\n") && ++refused > 0; }));
  CHECK(!writer.flush(milliseconds(10)));
  CHECK(writer.lost() == refused);
  CHECK(taken >= 60 && taken < 200);
  // In one place or several: while the pipe filled up, a line may have had room again.
  const auto is_all = [&](const std::string& come) { return missing_in(come) >= refused && come.ends_with("\n"); };
  const std::string come = pipe.until(is_all);
  CHECK(missing_in(come) == refused);
  CHECK(come.rfind("missing ") > come.rfind(line));
  CHECK(writer.flush(patience));
  CHECK(writer.write("after\n"));
  CHECK(pipe.until_it_ends_with("after\n") == "after\n");
  CHECK((::fcntl(pipe.write.get(), F_GETFL) & O_NONBLOCK) == 0);
}

/** A descriptor that somebody has made non-blocking. */
void would_block(Checks& t) {
  const Pipe pipe;
  CHECK(::fcntl(pipe.write.get(), F_SETFL, O_NONBLOCK) == 0);
  log::Writer writer(pipe.writing(), options());
  std::string expected;
  for (int k = 0; k < 100; k++) {
    const std::string line = std::to_string(k) + std::string(4000, 'y') + "\n";
    CHECK(writer.write(line));
    expected += line;
  }
  CHECK(pipe.until_it_ends_with(expected.substr(expected.size() - 4004)) == expected);
  CHECK(writer.lost() == 0);
}

void nobody_will_read(Checks& t) {
  Pipe pipe;
  pipe.read.reset();
  log::Writer writer(pipe.writing(), options());
  for (int k = 0; k < 3; k++) CHECK(writer.write("gone\n"));
  CHECK(writer.flush(patience));
  CHECK(writer.lost() == 3);
  log::Writer closed(OwnedFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)), options());
  CHECK(closed.write("nowhere\n") && closed.flush(patience));
  CHECK(closed.lost() == 1);
}

/** By the bound on the size of files: errors and half-written lines are those of a full disk. */
void full(Checks& t) {
  Directory directory;
  const std::string path = directory.file("log");
  log::Writer writer(OwnedFd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)), options());
  rlimit before{};
  CHECK(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const rlimit small{.rlim_cur = 20, .rlim_max = before.rlim_max};
  // Nothing is printed until it is back: that may go to a file, too.
  ::setrlimit(RLIMIT_FSIZE, &small);
  const bool is_lost = writer.write("0123456789\n") && writer.flush(patience) && writer.write("abcdefghijklmn\n") &&
                       writer.flush(patience) && writer.write("nothing\n") && writer.flush(patience);
  const std::uint64_t lost = writer.lost();
  CHECK(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  CHECK(is_lost && lost == 2);
  // By itself, without another line.
  CHECK(until([&] { return contents(path).ends_with("missing 2\n"); }));
  CHECK(writer.write("works\n") && writer.flush(patience) && writer.lost() == 2);
  CHECK(contents(path) == "0123456789\nabcdefghi\nmissing 2\nworks\n");
}

/** The answer of a write from now on; 0: it is made. */
std::atomic<int> write_error{0};

ssize_t failing_write(int fd, const void* bytes, std::size_t count) {
  const int error = write_error;
  if (error == 0) return ::write(fd, bytes, count);
  errno = error;
  return -1;
}

/** A disk, a quota, a bound and a file system that take nothing: each costs the same lines. */
void failing(Checks& t) {
  for (const int error : {EIO, EDQUOT, EFBIG, ENOSPC, EROFS}) {
    Directory directory;
    const std::string path = directory.file("log");
    auto failing = options();
    failing.write = failing_write;
    log::Writer writer(OwnedFd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)), failing);
    CHECK(writer.write("before\n") && writer.flush(patience));
    write_error = error;
    for (int k = 0; k < 3; k++) CHECK(writer.write("lost\n"));
    CHECK(writer.flush(patience) && writer.lost() == 3);
    write_error = 0;
    CHECK(writer.write("after\n") && writer.flush(patience) && writer.lost() == 3);
    CHECK(contents(path) == "before\nmissing 3\nafter\n");
  }
}

void several_threads(Checks& t) {
  const Pipe pipe;
  log::Writer writer(pipe.writing(), options());
  std::vector<std::thread> threads;
  for (int k = 0; k < 4; k++) {
    threads.emplace_back([&writer, k] {
      for (int line = 0; line < 200; line++) writer.write(std::string(1, static_cast<char>('a' + k)) + "\n");
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(writer.write("end\n"));
  const std::string come = pipe.until_it_ends_with("end\n");
  CHECK(come.size() == 4 * 200 * 2 + 4);
  CHECK(std::ranges::count(come, 'c') == 200);
  CHECK(writer.flush(patience));
}

/** Set once somebody waits for the line that `stopped_write` writes. */
std::atomic<bool> is_flushing{false};

constexpr milliseconds flush_wait{1000};

/** The whole process stands still, for longer than the flush waits. */
ssize_t stopped_write(int fd, const void* bytes, std::size_t count) {
  while (!is_flushing) std::this_thread::sleep_for(milliseconds(1));
  std::this_thread::sleep_for(milliseconds(20));
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) {
    ::kill(parent, SIGSTOP);
    std::this_thread::sleep_for(flush_wait);
    ::kill(parent, SIGCONT);
    ::_exit(0);
  }
  if (child < 0 || ::waitpid(child, nullptr, 0) != child) return -1;
  std::this_thread::sleep_for(milliseconds(20));
  return ::write(fd, bytes, count);
}

void stopped(Checks& t) {
  const Pipe pipe;
  log::WriterOptions stopping = options();
  stopping.write = stopped_write;
  log::Writer writer(pipe.writing(), std::move(stopping));
  CHECK(writer.write("last\n"));
  is_flushing = true;
  CHECK(writer.flush(flush_wait));
  CHECK(pipe.until_it_ends_with("last\n") == "last\n");
}

}  // namespace
}  // namespace log_suite

Tests log_tests() {
  using namespace log_suite;
  return {
      {"lines of a log are written in order, and all of them before a flush ends", in_order},
      {"a log that nobody reads holds up nobody, is bounded, and says where how many lines are missing", nobody_reads},
      {"a descriptor that does not block loses no line", would_block},
      {"a log that nobody will ever read costs its lines", nobody_will_read},
      {"a file that takes no more costs lines, and none is glued to the half of another", full},
      {"a write that fails for any reason costs its lines, which are told once one is made", failing},
      {"lines of several threads are whole", several_threads},
      {"the time for which a process stands still is none of a flush", stopped},
  };
}

}  // namespace parentfs::test
