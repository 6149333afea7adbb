/** Starting, deferring and, above all, ending the threads of a session. */
#include "session/session.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <utility>

#include "image/drop-behind.h"
#include "syscalls/files.h"

namespace parentfs::session {

namespace {

/** Between two attempts to wake a thread that waits in read(2). */
constexpr auto wake_pause = std::chrono::milliseconds(1);

/**
 * The signal that wakes a thread out of read(2). A real-time one: neither Node nor libuv uses them. A signal, because
 * the other ways cost every request a poll. A signal that arrives before the thread is in read(2) is lost, so it is
 * repeated until the thread has ended.
 */
int wake_signal() { return SIGRTMIN + 3; }

extern "C" void parentfs_wake(int /*signal*/) {}  // Its arrival is all that counts: read(2) says EINTR.

/** Before any thread is there to be woken: without a handler, the signal ends the process. */
void handle_wake_signal() {
  struct sigaction action {};
  action.sa_handler = parentfs_wake;  // And no SA_RESTART.
  ::sigaction(wake_signal(), &action, nullptr);
}

/** Threads of a session take no signal but that one. */
void allow_wake_signal_only() {
  sigset_t blocked;
  ::sigfillset(&blocked);
  ::sigdelset(&blocked, wake_signal());
  ::pthread_sigmask(SIG_SETMASK, &blocked, nullptr);
}

}  // namespace

Session::Session(int fd, unsigned threads, disk::StoreThreads& store_threads, const Clock& clock, Events events,
                 Addressing addressing)
    : fd_(fd), store_threads_(store_threads), clock_(clock), events_(std::move(events)) {
  handle_wake_signal();
  RequestSink& sink = *this;
  for (unsigned k = 0; k < threads; k++) workers_.push_back(std::make_unique<Worker>(fd, k, clock, sink, addressing));
  {
    const Lock lock(mutex_);
    running_ = workers_.size();
  }
  for (const auto& worker : workers_) worker->handle = std::thread([this, &worker] { work(*worker); });
  supervisor_ = std::thread([this] { supervise(); });
}

Session::~Session() {
  stop();
  join();
}

void Session::bind(std::uint64_t fh, const std::shared_ptr<image::DataFile>& file) {
  for (const auto& worker : workers_) worker->thread.bindings().bind(fh, file);
}

void Session::unbind(std::uint64_t fh) {
  for (const auto& worker : workers_) worker->thread.bindings().unbind(fh);
}

void Session::set_entry(std::uint64_t image, std::uint64_t size_bytes, const ObjectEntries::Entry& entry) {
  for (const auto& worker : workers_) worker->thread.entries().set(image, size_bytes, entry);
}

void Session::remove_entry(std::uint64_t image) {
  for (const auto& worker : workers_) worker->thread.entries().remove(image);
}

int Session::reply(std::uint64_t unique, int error, std::span<const std::byte> bytes) const {
  return write_reply(fd_, unique, -error, bytes);
}

int Session::notify(int code, std::span<const std::byte> bytes) const { return write_reply(fd_, 0, code, bytes); }

Counters Session::counters() const {
  Counters sum{.hits = deferred_hits_.load(std::memory_order_relaxed),
               .hit_bytes = deferred_hit_bytes_.load(std::memory_order_relaxed),
               .deferred = deferred_hits_.load(std::memory_order_relaxed),
               .forwarded = forwarded_.load(std::memory_order_relaxed)};
  for (const auto& worker : workers_) {
    const Counters own = worker->thread.counters();
    sum.hits += own.hits;
    sum.hit_bytes += own.hit_bytes;
  }
  return sum;
}

std::vector<UseSamples::Sample> Session::take_samples() {
  std::vector<UseSamples::Sample> taken;
  for (const auto& worker : workers_) worker->thread.samples().take(taken);
  return taken;
}

std::uint64_t Session::dropped_samples() const {
  std::uint64_t sum = 0;
  for (const auto& worker : workers_) sum += worker->thread.samples().dropped();
  return sum;
}

Latencies::Counts Session::memory_latencies() const {
  Latencies::Counts sum;
  for (const auto& worker : workers_) sum.add(worker->thread.latencies());
  return sum;
}

void Session::stop() {
  stopping_.store(true, std::memory_order_release);
  changed_.notify_all();
  const Lock lock(mutex_);  // The supervisor has either seen the flag, or waits and is woken.
  changed_.notify_all();
}

void Session::join() {
  if (supervisor_.joinable()) supervisor_.join();
}

void Session::forward(std::span<const std::byte> request) { hand_over(request, {}); }

void Session::hand_over(std::span<const std::byte> request, std::chrono::nanoseconds waited) {
  forwarded_.fetch_add(1, std::memory_order_relaxed);
  if (requests_.push(request, waited)) events_.on_waiting();
}

std::size_t Session::forward_overdue(std::chrono::milliseconds age) {
  const AbandonableReads::Entries overdue = deferred_.claim_older(age);
  for (const auto& entry : overdue) {
    forward(entry->request());
    deferred_.done(*entry);
  }
  return overdue.size();
}

void Session::defer(DeferredRead read, std::span<const std::byte> request) {
  if (!may_defer_.load(std::memory_order_relaxed)) {
    forward(request);
    return;
  }
  const auto entry = deferred_.add(std::move(read), request);
  // The session may have ended when the disk answers: without the claim, the job keeps off it.
  const bool taken = store_threads_.submit(disk::Lane::read, [this, entry, &clock = clock_](auto scratch) {
    if (entry->claimed()) return;
    const DeferredRead& read = entry->read();
    const auto bytes = ReplyBuffer(scratch).bytes(read.length);
    const auto tick = clock.tick.load(std::memory_order_relaxed);
    const bool hit = read.file->read(read.offset, bytes, image::Blocking::yes, tick, read.pages) == image::ReadOutcome::hit;
    if (entry->claim()) finish_deferred(*entry, scratch, hit);
    // The reader has its bytes, and the session may have ended.
    if (hit && read.pages == disk::Pages::leave) read.file->bring_back(read.offset);
  });
  if (!taken && entry->claim()) finish_deferred(*entry, {}, false);
}

bool Session::may_begin_io() const {
  if (!may_defer_.load(std::memory_order_relaxed)) return false;
  // Where nobody can tell what the page cache has, hits of it would wait behind those of the disk.
  return deferred_.waiting() < waiting_for_disk_max || !syscalls::can_tell_cached();
}

void Session::finish_deferred(AbandonableReads::Entry& entry, std::span<std::byte> scratch, bool hit) {
  if (hit) {
    const DeferredRead& read = entry.read();
    // As session threads count: before the answer.
    read.file->hits().add(workers_.size(), read.length);
    deferred_hits_.fetch_add(1, std::memory_order_relaxed);
    deferred_hit_bytes_.fetch_add(read.length, std::memory_order_relaxed);
    ReplyBuffer(scratch).send(fd_, read.unique, read.length);
    deferred_latencies_.count_shared(entry.age());
    if (read.pages == disk::Pages::drop_behind) passed(read.file, read.offset, read.length);
  } else {
    forward(entry.request());
  }
  deferred_.done(entry);
}

void Session::passed(const std::shared_ptr<image::DataFile>& file, std::uint64_t offset, std::size_t length) {
  const auto begin = image::drop_behind(offset, length);
  if (!begin) return;
  // Not here: it can wait for the disk. When the threads are ending, the pages stay.
  (void)store_threads_.submit(disk::Lane::write, [file, begin = *begin](auto) {
    (void)file->drop_pages(begin, image::stretch_bytes);
  });
}

bool Session::fetch(DeferredRead read, std::span<const std::byte> request) {
  if (reports_.full()) return false;
  const bool is_far = read.file->inflight()->is_far();
  const auto entry = fetched_.add(std::move(read), request);
  // As with store threads: the session may have ended when the answer comes, and without the claim it is kept off.
  const auto done = [this, entry](Fetches fetches, bool right) {
    if (entry->claim()) finish_fetched(*entry, fetches, right);
  };
  const DeferredRead& asked = entry->read();
  using Outcome = image::InflightTable::Outcome;
  if (asked.file->inflight()->fetch(asked.offset, asked.length, done) == Outcome::waiting) {
    // One that was refused is TypeScript's, which sees it as its own.
    if (is_far && !entry->claimed()) {
      entry->set_begun();
      report(ReadReports::origin_read_begun, asked);
    }
    return true;
  }
  if (!entry->claim()) return true;
  fetched_.done(*entry);
  return false;
}

void Session::finish_fetched(AbandonableReads::Entry& entry, Fetches fetches, bool right) {
  const DeferredRead& read = entry.read();
  if (right && answer_fetched(read, fetches)) {
    report(entry.begun() ? ReadReports::origin_read_done : ReadReports::origin_read, read, entry.age());
  } else {
    hand_over(entry.request(), entry.age());
  }
  fetched_.done(entry);
}

bool Session::answer_fetched(const DeferredRead& read, Fetches fetches) const {
  const std::uint64_t end = read.offset + read.length;
  const auto has = [](const image::InflightFetch& fetch, std::uint64_t at) {
    return at >= fetch.offset && at - fetch.offset < fetch.bytes.size();
  };
  const auto& first = *fetches.front();
  if (has(first, read.offset) && has(first, end - 1)) {
    const std::span<std::byte> bytes = first.bytes.subspan(read.offset - first.offset, read.length);
    write_parts(fd_, read.unique, read.length, std::array{iovec{.iov_base = bytes.data(), .iov_len = bytes.size()}});
    return true;
  }
  disk::AlignedBuffer memory((ReplyBuffer::header_room + read.length + disk::AlignedBuffer::page_bytes - 1) /
                             disk::AlignedBuffer::page_bytes * disk::AlignedBuffer::page_bytes);
  const ReplyBuffer reply(memory.bytes());
  const std::span<std::byte> target = reply.bytes(read.length);
  const auto tick = clock_.tick.load(std::memory_order_relaxed);
  const auto blocking = may_begin_io() ? image::Blocking::no : image::Blocking::no_io;
  for (std::uint64_t at = read.offset; at < end;) {
    const auto found = std::ranges::find_if(fetches, [&](const auto& fetch) { return has(*fetch, at); });
    std::uint64_t stop = end;
    if (found != fetches.end()) {
      stop = std::min(end, (*found)->offset + (*found)->bytes.size());
      std::memcpy(&target[at - read.offset], &(*found)->bytes[at - (*found)->offset], stop - at);
    } else {
      for (const auto& fetch : fetches) if (fetch->offset > at) stop = std::min(stop, fetch->offset);
      const auto part = target.subspan(at - read.offset, stop - at);
      if (read.file->read(at, part, blocking, tick) != image::ReadOutcome::hit) return false;
    }
    at = stop;
  }
  reply.send(fd_, read.unique, read.length);
  return true;
}

void Session::report(std::uint32_t kind, const DeferredRead& read, std::chrono::nanoseconds took) {
  const ReadRange range{.fh = read.fh, .offset = read.offset, .length = read.length};
  if (reports_.add(kind, range, took)) events_.on_waiting();
}

void Session::buffer_touched(const ReadRange& read) {
  if (reports_.add(ReadReports::buffer_touched, read)) events_.on_waiting();
}

std::size_t Session::forward_unanswered(std::chrono::milliseconds age) {
  const AbandonableReads::Entries overdue = fetched_.claim_older(age);
  for (const auto& entry : overdue) finish_fetched(*entry, {}, false);
  return overdue.size();
}

void Session::work(Worker& worker) {
  ::pthread_setname_np(::pthread_self(), "pfs-session");  // As top -H and ps -T show it.
  allow_wake_signal_only();
  const int error = worker.thread.run(stopping_);
  const Lock lock(mutex_);
  if (error != 0 && error_ == 0 && !stopping_.load(std::memory_order_acquire)) {
    error_ = error;
    stopping_.store(true, std::memory_order_release);  // One that cannot read ends all.
  }
  worker.ended = true;
  running_--;
  changed_.notify_all();
}

void Session::supervise() {
  int error = 0;
  {
    const Lock lock(mutex_);
    wait_for_workers();
    error = error_;
  }
  // A reply on a store thread still uses the descriptor.
  deferred_.drain(stop_patience);
  fetched_.drain(stop_patience);
  for (const auto& worker : workers_) {
    worker->handle.join();
    worker->thread.bindings().clear();
  }
  events_.on_end(error);
}

void Session::wait_for_workers() {
  while (running_ > 0) {
    if (!stopping_.load(std::memory_order_acquire)) {
      changed_.wait(mutex_);
      continue;
    }
    for (const auto& worker : workers_) {
      if (!worker->ended) ::pthread_kill(worker->handle.native_handle(), wake_signal());
    }
    changed_.wait_for(mutex_, wake_pause);
  }
}

}  // namespace parentfs::session
