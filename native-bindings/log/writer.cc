/** The queue, the thread, and what becomes of a line that cannot be written. */
#include "log/writer.h"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "mutex.h"
#include "syscalls/process.h"

namespace parentfs::log {

namespace {

/** The interval at which the thread looks, while its output is not taken, whether it is still wanted. */
constexpr int look_ms = 1000;

/** A flush counts its wait in slices of this length. */
constexpr std::chrono::milliseconds flush_slice{50};

}  // namespace

class Writer::Work {
 public:
  Work(OwnedFd fd, WriterOptions options) : fd_(std::move(fd)), options_(std::move(options)) {}

  bool write(std::string line) EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    is_idle_ = false;
    woken_.notify_one();
    if (queued_bytes_ + size_of(line) > options_.queued_bytes_max) {
      lost_++;
      lost_behind_++;
      return false;
    }
    queued_bytes_ += size_of(line);
    lines_.push_back({.text = std::move(line), .lost_before = std::exchange(lost_behind_, 0)});
    return true;
  }

  bool flush(std::chrono::milliseconds wait) EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    Clock::duration left = wait;
    while (!is_idle_) {
      if (left.count() <= 0) return false;
      const auto began = Clock::now();
      emptied_.wait_for(mutex_, flush_slice);
      // A slice counts for its length at most: a process that was stopped, or had no processor, wrote nothing meanwhile.
      left -= std::min<Clock::duration>(Clock::now() - began, flush_slice);
    }
    return true;
  }

  std::uint64_t lost() EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    return lost_;
  }

  void end() EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    is_ended_ = true;
    woken_.notify_one();
  }

  /** The loop of the thread. */
  void run() EXCLUDES(mutex_) {
    syscalls::block_signals();
    ::pthread_setname_np(::pthread_self(), "pfs-log");  // As top -H and ps -T show it.
    while (const auto line = next()) {
      missing_ += line->lost_before;
      // A line that follows lost ones would hide that they are missing.
      if (missing_ > 0 && put(options_.notice(missing_))) missing_ = 0;
      if (line->text.empty()) continue;
      if (missing_ > 0 || !put(line->text)) {
        missing_++;
        count_lost();
      }
    }
  }

 private:
  using Clock = std::chrono::steady_clock;

  struct Line {
    /** Empty: there is only to be said what is missing. */
    std::string text;
    /** Those that had no room, right before it. */
    std::uint64_t lost_before;
  };

  static std::size_t size_of(const std::string& line) { return sizeof(Line) + line.size(); }

  /** The next line to be written; nothing at the end. */
  std::optional<Line> next() EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    // Those that are missing were tried to be told before, unless the last of them had no room.
    const auto retry_at = Clock::now() + options_.retry_pause;
    while (!is_ended_) {
      if (!lines_.empty()) {
        Line line = std::move(lines_.front());
        lines_.pop_front();
        queued_bytes_ -= size_of(line.text);
        return line;
      }
      if (lost_behind_ > 0) return Line{.text = "", .lost_before = std::exchange(lost_behind_, 0)};
      is_idle_ = true;
      emptied_.notify_all();
      if (missing_ == 0) {
        woken_.wait(mutex_);
      } else {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(retry_at - Clock::now());
        if (left.count() <= 0) return Line{.text = "", .lost_before = 0};
        woken_.wait_for(mutex_, left);
      }
    }
    return std::nullopt;
  }

  /** @returns whether all of it was written */
  bool put(std::string_view text) {
    // The end of a line that was cut, so that no other is glued to it.
    return (!is_cut_ || put_bytes("\n")) && put_bytes(text);
  }

  bool put_bytes(std::string_view text) {
    while (!text.empty()) {
      const ssize_t written = is_writable() ? options_.write(fd_.get(), text.data(), text.size()) : -1;
      if (written < 0 && (errno == EINTR || errno == EAGAIN) && !is_ended()) continue;
      // Whatever it says, and EPIPE too: the next one may go, for files grow smaller and pipes get other readers.
      if (written <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(written));
      is_cut_ = !text.empty();
    }
    return true;
  }

  /** Waits for room in a pipe. A write could wait for it too, but not hear that it is over; EAGAIN when there is none yet. */
  bool is_writable() const {
    pollfd polled{.fd = fd_.get(), .events = POLLOUT, .revents = 0};
    const int ready = ::poll(&polled, 1, look_ms);
    if (ready == 0) errno = EAGAIN;
    return ready > 0;
  }

  bool is_ended() EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    return is_ended_;
  }

  void count_lost() EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    lost_++;
  }

  const OwnedFd fd_;
  const WriterOptions options_;
  Mutex mutex_;
  Condition woken_;
  Condition emptied_;
  std::deque<Line> lines_ GUARDED_BY(mutex_);
  // INVARIANT: queued_bytes_ <= options_.queued_bytes_max.
  std::size_t queued_bytes_ GUARDED_BY(mutex_) = 0;
  std::uint64_t lost_ GUARDED_BY(mutex_) = 0;
  /** Lines that had no room since the last one that had. */
  std::uint64_t lost_behind_ GUARDED_BY(mutex_) = 0;
  /** Nothing is queued, and nothing is being written. */
  bool is_idle_ GUARDED_BY(mutex_) = true;
  bool is_ended_ GUARDED_BY(mutex_) = false;
  /** Of the thread alone: lines that are lost, and nothing written says so. */
  std::uint64_t missing_ = 0;
  /** Of the thread alone: the last that was written is no whole line. */
  bool is_cut_ = false;
};

Writer::Writer(OwnedFd fd, WriterOptions options) : work_(std::make_shared<Work>(std::move(fd), std::move(options))) {
  // Never joined: the kernel may hold it for as long as a disk hangs.
  std::thread([work = work_] { work->run(); }).detach();
}

Writer::~Writer() { work_->end(); }

bool Writer::write(std::string line) { return work_->write(std::move(line)); }

bool Writer::flush(std::chrono::milliseconds wait) { return work_->flush(wait); }

std::uint64_t Writer::lost() const { return work_->lost(); }

}  // namespace parentfs::log
