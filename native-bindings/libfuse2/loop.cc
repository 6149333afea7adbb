/** The loop of libfuse 2. */
#include "libfuse2/loop.h"

#include <dlfcn.h>
#include <fcntl.h>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <set>
#include <system_error>
#include <thread>
#include <vector>

#include "mutex.h"
#include "syscalls/process.h"
#include "syscalls/loaded-function.h"

struct fuse;
struct fuse_chan;
struct fuse_session;

namespace parentfs::libfuse2 {

namespace {

/** As many requests are in flight at most; `fuseNativeThreads` in src/base/limits.ts. */
constexpr std::size_t threads_max = 64;

/** So many threads wait for requests in the kernel, which takes them in turn; the others wait here, and stay cold. */
constexpr std::size_t readers_max = 4;

/** The functions of libfuse that the loop calls. Source: libfuse 2.9.9 include/fuse.h, include/fuse_lowlevel.h. */
struct Library {
  fuse_session* (*get_session)(fuse*);
  fuse_chan* (*next_chan)(fuse_session*, fuse_chan*);
  std::size_t (*buffer_bytes)(fuse_chan*);
  int (*descriptor)(fuse_chan*);
  int (*receive)(fuse_chan**, char*, std::size_t);
  void (*process)(fuse_session*, const char*, std::size_t, fuse_chan*);
  void (*exit)(fuse_session*);
  int (*exited)(fuse_session*);
};

bool find_all(Library& library) {
  return syscalls::find_loaded(library.get_session, "fuse_get_session") && syscalls::find_loaded(library.next_chan, "fuse_session_next_chan") &&
         syscalls::find_loaded(library.buffer_bytes, "fuse_chan_bufsize") && syscalls::find_loaded(library.descriptor, "fuse_chan_fd") &&
         syscalls::find_loaded(library.receive, "fuse_chan_recv") && syscalls::find_loaded(library.process, "fuse_session_process") &&
         syscalls::find_loaded(library.exit, "fuse_session_exit") && syscalls::find_loaded(library.exited, "fuse_session_exited");
}

/** Threads that answer requests until nothing is mounted any more: then every read of the descriptor fails. */
class Pool {
 public:
  Pool(const Library& library, fuse_session* session, fuse_chan* channel)
      : library_(library), session_(session), channel_(channel) {}

  /** @returns 0, or -1 when the descriptor failed */
  int run() {
    work();
    // No thread starts after the end, and the caller's own was the first.
    for (;;) {
      std::thread thread;
      {
        const Lock lock(mutex_);
        if (threads_.empty()) return failed_ ? -1 : 0;
        thread = std::move(threads_.back());
        threads_.pop_back();
      }
      thread.join();
    }
  }

 private:
  void work() {
    const std::size_t bytes = library_.buffer_bytes(channel_);
    const auto buffer = std::make_unique_for_overwrite<char[]>(bytes);
    while (begin_reading()) {
      fuse_chan* from = channel_;
      const int received = library_.receive(&from, buffer.get(), bytes);
      end_reading(received);
      if (received > 0) library_.process(session_, buffer.get(), static_cast<std::size_t>(received), from);
    }
  }

  /** Waits while others read. @returns false at the end */
  bool begin_reading() {
    const Lock lock(mutex_);
    idle_++;
    while (!ended_ && reading_ >= readers_max) may_read_.wait(mutex_);
    idle_--;
    reading_++;
    return !ended_;
  }

  void end_reading(int received) {
    const Lock lock(mutex_);
    reading_--;
    // Interrupted or taken back by the kernel: nothing has come, and nothing has failed.
    const bool passing = received == -EINTR || received == -EAGAIN;
    if (received > 0 || passing) {
      if (library_.exited(session_) == 0) {
        if (idle_ > 0) {
          if (reading_ == 0) may_read_.notify_one();
        } else if (reading_ == 0 && threads_.size() + 1 < threads_max && !ended_) {
          start();
        }
        return;
      }
    }
    failed_ = failed_ || (received < 0 && !passing);
    ended_ = true;
    library_.exit(session_);
    may_read_.notify_all();
  }

  /** One more; without it, fewer serve as well. */
  void start() REQUIRES(mutex_) {
    try {
      threads_.emplace_back([this] { work(); });
    } catch (const std::system_error&) {
    }
  }

  const Library& library_;
  fuse_session* const session_;
  fuse_chan* const channel_;
  Mutex mutex_;
  Condition may_read_;
  std::vector<std::thread> threads_ GUARDED_BY(mutex_);
  /** Threads in receive(), and threads that wait to be. */
  std::size_t reading_ GUARDED_BY(mutex_) = 0;
  std::size_t idle_ GUARDED_BY(mutex_) = 0;
  bool ended_ GUARDED_BY(mutex_) = false;
  bool failed_ GUARDED_BY(mutex_) = false;
};

/** The loops of this process. */
class Loops {
 public:
  std::uint32_t begin() EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    running_.insert(++latest_);
    return latest_;
  }
  void end(std::uint32_t loop) EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    running_.erase(loop);
  }
  std::uint32_t latest() EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    return latest_;
  }
  bool is_running(std::uint32_t loop) EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    return running_.contains(loop);
  }

 private:
  Mutex mutex_;
  std::uint32_t latest_ GUARDED_BY(mutex_) = 0;
  std::set<std::uint32_t> running_ GUARDED_BY(mutex_);
};

Loops& loops() {
  static Loops all;
  return all;
}

int loop(fuse* handle) {
  Library library{};
  if (!find_all(library)) return -1;
  syscalls::block_signals();
  fuse_session* const session = library.get_session(handle);
  fuse_chan* const channel = library.next_chan(session, nullptr);
  // libfuse leaves it open in children, and a child that has it keeps the mount of a dead server from failing.
  ::fcntl(library.descriptor(channel), F_SETFD, FD_CLOEXEC);
  const std::uint32_t own = loops().begin();
  const int result = Pool(library, session, channel).run();
  loops().end(own);
  return result;
}

}  // namespace

std::string load(const std::string& path) {
  Dl_info own{};
  const auto* const here = reinterpret_cast<const void*>(&load);
  // Known to all from now on, and before libfuse: the first definition of a name counts.
  if (::dladdr(here, &own) == 0 || ::dlopen(own.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD) == nullptr) {
    return "our own library was not found";
  }
  if (::dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE) != nullptr) return "";
  const char* const complaint = ::dlerror();  // NOLINT(concurrency-mt-unsafe): of this thread's own.
  return complaint != nullptr ? complaint : path;
}

std::uint32_t latest_loop() { return loops().latest(); }

bool is_running(std::uint32_t loop) { return loops().is_running(loop); }

}  // namespace parentfs::libfuse2

/** In the place of libfuse's own function of that name. @returns 0 once nothing is mounted, -1 for a failure */
extern "C" __attribute__((visibility("default"))) int fuse_loop_mt(fuse* handle) {
  return parentfs::libfuse2::loop(handle);
}
