/** syscalls/: extents, locks and descriptors over sockets. */
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>
#include <thread>

#include "syscalls/errno-name.h"
#include "syscalls/files.h"
#include "syscalls/process.h"
#include "syscalls/sockets.h"
#include "test/images.h"
#include "test/suites.h"

namespace parentfs::test {

namespace syscalls_suite {
namespace {

void extents(Checks& t) {
  Directory directory;
  const auto fd = syscalls::open_exact(directory.file("sparse"), 1'000'000).value();
  CHECK(::pwrite(fd.get(), "x", 1, 500'000) == 1);
  const std::uint64_t begin = 500'000 / 4096 * 4096;
  const auto before = syscalls::extent_at(fd.get(), 7).value();
  CHECK(before.hole && before.end == begin);
  const auto data = syscalls::extent_at(fd.get(), 500'001).value();
  CHECK(!data.hole && data.end == begin + 4096);
  const auto after = syscalls::extent_at(fd.get(), 600'000).value();
  CHECK(after.hole && after.end == 1'000'000);
  CHECK(syscalls::extent_at(fd.get(), 1'000'000).error() == ENXIO);
  CHECK(syscalls::extent_at(-1, 0).error() == EBADF);
  CHECK(syscalls::seek_data(fd.get(), 0).value() == static_cast<std::int64_t>(begin));
  CHECK(syscalls::seek_data(fd.get(), 600'000).value() == -1);
}

/** Things that somebody may have put in the place of a file of ours: none is waited for, followed or changed. */
void not_files(Checks& t) {
  Directory directory;
  const std::string outside = directory.file("outside");
  CHECK(::close(::open(outside.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) == 0);
  const auto is_untouched = [&] {
    struct stat facts {};
    return ::lstat(outside.c_str(), &facts) == 0 && facts.st_size == 0 && facts.st_blocks == 0;
  };
  const auto refused = [&](const std::string& path, int error) {
    return syscalls::open_exact(path, 77).error() == error && syscalls::lock_file(path).error() == error &&
           syscalls::reserve_after_end(path, 4096) != 0;
  };
  CHECK(::symlink("outside", directory.file("link").c_str()) == 0);
  CHECK(refused(directory.file("link"), ELOOP));
  CHECK(::symlink("nowhere", directory.file("dangling").c_str()) == 0);
  CHECK(refused(directory.file("dangling"), ELOOP));
  CHECK(::access(directory.file("nowhere").c_str(), F_OK) != 0);
  CHECK(::mkfifo(directory.file("pipe").c_str(), 0600) == 0);
  CHECK(refused(directory.file("pipe"), EINVAL));
  CHECK(::mkdir(directory.file("directory").c_str(), 0700) == 0);
  CHECK(refused(directory.file("directory"), EISDIR));
  CHECK(::rmdir(directory.file("directory").c_str()) == 0);
  CHECK(refused("/dev/null", EINVAL));
  CHECK(is_untouched());
  CHECK(::link(outside.c_str(), directory.file("name").c_str()) == 0);
  CHECK(refused(directory.file("name"), EMLINK));
  CHECK(::unlink(directory.file("name").c_str()) == 0);
  CHECK(is_untouched());
}

void file_lock(Checks& t) {
  Directory directory;
  const std::string path = directory.file("lock");
  {
    const auto held = syscalls::lock_file(path);
    CHECK(held.ok());
    CHECK(syscalls::lock_file(path).error() == EWOULDBLOCK);
  }
  CHECK(syscalls::lock_file(path).ok());
}

void descriptors(Checks& t) {
  auto pair = syscalls::socket_pair();
  CHECK(pair.ok());
  auto& [here, there] = pair.value();
  Directory directory;
  const auto file = syscalls::open_exact(directory.file("sent"), 77).value();
  CHECK(syscalls::send_fd(here.get(), file.get()) == 0);
  const auto received = syscalls::receive_fd(there.get());
  CHECK(received.ok() && received.value().get() != file.get());
  CHECK(syscalls::usage(received.value().get()).value().size_bytes == 77);
  CHECK((::fcntl(received.value().get(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK(::write(here.get(), "x", 1) == 1);
  CHECK(syscalls::receive_fd(there.get()).error() == EBADMSG);
  here.reset();
  CHECK(syscalls::receive_fd(there.get()).error() == ECONNRESET);
  CHECK(syscalls::send_fd(there.get(), file.get()) == EPIPE);
}

void datagrams(Checks& t) {
  // The kernel chooses an abstract name for who binds none. Source: unix(7), autobind.
  const OwnedFd receiver(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  CHECK(::bind(receiver.get(), reinterpret_cast<sockaddr*>(&address), sizeof address.sun_family) == 0);
  socklen_t length = sizeof address;
  CHECK(::getsockname(receiver.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0);
  const std::string name = "@" + std::string(address.sun_path + 1, length - sizeof address.sun_family - 1);
  Directory directory;
  const auto file = syscalls::open_exact(directory.file("sent"), 77).value();
  CHECK(syscalls::send_datagram(name, "FDSTORE=1", file.get()) == 0);
  const auto received = syscalls::receive_fd(receiver.get());
  CHECK(received.ok() && syscalls::usage(received.value().get()).value().size_bytes == 77);
  CHECK(syscalls::send_datagram(name, "READY=1", -1) == 0);
  std::array<char, 16> text{};
  CHECK(::recv(receiver.get(), text.data(), text.size(), 0) == 7 && std::string(text.data()) == "READY=1");
  CHECK(syscalls::send_datagram(name, "FDSTORE=1", 1 << 20) == EBADF);
}

void peers(Checks& t) {
  const auto pair = syscalls::socket_pair();
  const auto peer = syscalls::peer_uid(pair.value().first.get());
  CHECK(peer.ok() && peer.value() == ::geteuid());
  const OwnedFd alone(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK(syscalls::peer_uid(alone.get()).error() == ENOTCONN);
  Directory directory;
  CHECK(syscalls::peer_uid(syscalls::open_exact(directory.file("f"), 1).value().get()).error() == ENOTSOCK);
}

void access_times(Checks& t) {
  Directory directory;
  const auto fd = syscalls::open_exact(directory.file("read"), 4096).value();
  CHECK((::fcntl(fd.get(), F_GETFL) & O_NOATIME) != 0);
  const auto uncached = syscalls::open_uncached(fd.get(), O_RDONLY);
  CHECK(!uncached.ok() || (::fcntl(uncached.value().get(), F_GETFL) & O_NOATIME) != 0);
}

std::atomic<int> lease_signals{0};

/** Whoever opens a file while it is asked about breaks a lease, of which SIGIO tells by default: that ends a process. */
void leases(Checks& t) {
  Directory directory;
  const std::string path = directory.file("asked");
  const auto fd = syscalls::open_exact(path, 77).value();
  if (syscalls::open_elsewhere(fd.get()).error() == EINVAL) return t.skip("this file system knows no leases");
  struct sigaction count {};
  struct sigaction before {};
  count.sa_handler = [](int) { lease_signals++; };
  CHECK(::sigaction(SIGIO, &count, &before) == 0);
  std::atomic<bool> is_over{false};
  std::thread asking([&] {
    while (!is_over) (void)syscalls::open_elsewhere(fd.get());
  });
  int broken = 0;
  // Refused instead of held up while there is a lease, which is broken all the same.
  const bool is_seen = until([&] {
    const OwnedFd other(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    return other.get() < 0 && errno == EWOULDBLOCK && ++broken == 10;
  });
  is_over = true;
  asking.join();
  CHECK(::sigaction(SIGIO, &before, nullptr) == 0);
  CHECK(is_seen);
  CHECK(lease_signals == 0);
}

/** In a child, because it holds for the whole process. */
void dumps(Checks& t) {
  const pid_t child = ::fork();
  if (child == 0) {
    const bool forbids = ::prctl(PR_GET_DUMPABLE) == 1 && syscalls::forbid_dumps() == 0;
    ::_exit(forbids && ::prctl(PR_GET_DUMPABLE) == 0 ? 7 : 1);
  }
  int status = 0;
  CHECK(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

void errno_names(Checks& t) {
  for (int error = 1; error < 4096; error++) {
    const char* name = syscalls::errno_name(error);
    const char* theirs = ::strerrorname_np(error);
    CHECK((name == nullptr) == (theirs == nullptr));
    CHECK(name == nullptr || theirs == nullptr || std::strcmp(name, theirs) == 0);
  }
}

}  // namespace
}  // namespace syscalls_suite

Tests syscalls_tests() {
  using namespace syscalls_suite;
  return {
      {"extents of a sparse file have the ends that the file system knows", extents},
      {"what is no plain file, or has another name, is neither waited for nor followed nor changed", not_files},
      {"a lock is refused while somebody holds it, and free after", file_lock},
      {"a descriptor sent over a socket is the same file; a closed socket says so", descriptors},
      {"a datagram comes with the descriptor beside it, or without", datagrams},
      {"the user at the other end of a socket is known, and nobody where there is none", peers},
      {"reads of a data file write no access times", access_times},
      {"whoever opens a file while it is asked about sends nobody a signal that ends him", leases},
      {"a process that forbids it leaves no core", dumps},
      {"errnos have the names that glibc gives them", errno_names},
  };
}

}  // namespace parentfs::test
