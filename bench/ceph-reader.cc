/**
 * Reader of bench/ceph.ts: the same offsets in the same way, through librbd alone or from a file.
 *
 *   ceph-reader DEPTH LENGTH SECONDS librbd CONF POOL IMAGE SNAPSHOT
 *   ceph-reader DEPTH LENGTH SECONDS file PATH
 *
 * Offsets come on standard input, one a line. Each is read once, DEPTH at once and in that order; where SECONDS is not
 * 0, over and over until they have passed. librbd is used as its own clients do: rbd_aio_read, completions on its
 * threads. Its cache and its read-ahead are off: a parent cache stands in for them. A file is read past the page cache
 * by Linux's own asynchronous I/O, as by qemu's aio=native. Prints one line of JSON: times of reads, and the sum of all
 * bytes, so that both can be compared.
 */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "rbd/library.h"

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& what, long error = 0) {
  std::fprintf(stderr, "%s: %s\n", what.c_str(), std::strerror(static_cast<int>(error)));
  std::_Exit(1);
}

/** Source of bytes: reads by slot, each slot one at a time. */
class OriginReader {
 public:
  virtual ~OriginReader() = default;
  virtual void submit(std::size_t slot, std::uint64_t offset, std::byte* target, std::size_t length) = 0;
  /** A slot with a finished read. */
  virtual std::size_t wait() = 0;
};

class FileSource final : public OriginReader {
 public:
  FileSource(const char* path, std::size_t depth) : fd_(::open(path, O_RDONLY | O_DIRECT | O_CLOEXEC)), blocks_(depth) {
    if (fd_ < 0) fail(path, errno);
    if (::syscall(SYS_io_setup, depth, &context_) != 0) fail("io_setup", errno);
  }

  void submit(std::size_t slot, std::uint64_t offset, std::byte* target, std::size_t length) override {
    iocb& block = blocks_[slot];
    block = {};
    block.aio_data = slot;
    block.aio_lio_opcode = IOCB_CMD_PREAD;
    block.aio_fildes = static_cast<std::uint32_t>(fd_);
    block.aio_buf = reinterpret_cast<std::uint64_t>(target);
    block.aio_nbytes = length;
    block.aio_offset = static_cast<std::int64_t>(offset);
    iocb* one = &block;
    if (::syscall(SYS_io_submit, context_, 1, &one) != 1) fail("io_submit", errno);
  }

  std::size_t wait() override {
    io_event event{};
    while (::syscall(SYS_io_getevents, context_, 1, 1, &event, nullptr) != 1) {
      if (errno != EINTR) fail("io_getevents", errno);
    }
    if (event.res != static_cast<std::int64_t>(blocks_[event.data].aio_nbytes)) fail("read", event.res < 0 ? -event.res : 0);
    return event.data;
  }

 private:
  int fd_;
  aio_context_t context_ = 0;
  std::vector<iocb> blocks_;
};

class RbdSource final : public OriginReader {
 public:
  RbdSource(char** arguments, std::size_t depth) : slots_(depth) {
    const auto opened = parentfs::rbd::open_library();
    if (opened.library == nullptr) fail(opened.complaint);
    library_ = opened.library;
    parentfs::rbd::rados_t cluster = nullptr;
    parentfs::rbd::rados_ioctx_t pool = nullptr;
    must(library_->rados_create2(&cluster, "ceph", "client.admin", 0), "rados_create2");
    must(library_->rados_conf_read_file(cluster, arguments[0]), "rados_conf_read_file");
    must(library_->rados_conf_set(cluster, "rbd_cache", "false"), "rados_conf_set");
    must(library_->rados_connect(cluster), "rados_connect");
    must(library_->rados_ioctx_create(cluster, arguments[1], &pool), "rados_ioctx_create");
    must(library_->rbd_open_read_only(pool, arguments[2], &image_, arguments[3]), "rbd_open_read_only");
    for (std::size_t k = 0; k < depth; k++) slots_[k] = {.source = this, .number = k, .length = 0};
  }

  void submit(std::size_t slot, std::uint64_t offset, std::byte* target, std::size_t length) override {
    slots_[slot].length = length;
    parentfs::rbd::rbd_completion_t completion = nullptr;
    must(library_->rbd_aio_create_completion(&slots_[slot], &RbdSource::completed, &completion), "completion");
    must(library_->rbd_aio_read(image_, offset, length, reinterpret_cast<char*>(target), completion), "rbd_aio_read");
  }

  std::size_t wait() override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !done_.empty(); });
    const std::size_t slot = done_.front();
    done_.pop_front();
    return slot;
  }

 private:
  struct Slot {
    RbdSource* source;
    std::size_t number;
    std::size_t length;
  };

  static void must(int result, const char* what) {
    if (result < 0) fail(what, -result);
  }

  static void completed(void* completion, void* argument) {
    const auto* slot = static_cast<Slot*>(argument);
    RbdSource& source = *slot->source;
    const ssize_t result = source.library_->rbd_aio_get_return_value(completion);
    source.library_->rbd_aio_release(completion);
    if (result != static_cast<ssize_t>(slot->length)) fail("rbd_aio_read", result < 0 ? -result : 0);
    {
      const std::lock_guard lock(source.mutex_);
      source.done_.push_back(slot->number);
    }
    source.changed_.notify_one();
  }

  const parentfs::rbd::Library* library_ = nullptr;
  parentfs::rbd::rbd_image_t image_ = nullptr;
  std::vector<Slot> slots_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::size_t> done_;
};

/** Of words: any byte elsewhere changes it. */
std::uint64_t sum_of(const std::byte* bytes, std::size_t length) {
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at + sizeof sum <= length; at += sizeof sum) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes + at, sizeof word);
    sum += word * (at + 1);
  }
  return sum;
}

double at_share(std::vector<double>& sorted, double share) {
  return sorted[std::min(sorted.size() - 1, static_cast<std::size_t>(share * static_cast<double>(sorted.size())))];
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 6) fail("ceph-reader DEPTH LENGTH SECONDS librbd CONF POOL IMAGE SNAPSHOT | file PATH");
  const auto depth = std::strtoul(arguments[1], nullptr, 10);
  const auto length = std::strtoul(arguments[2], nullptr, 10);
  const std::chrono::duration<double> limit(std::strtod(arguments[3], nullptr));
  std::vector<std::uint64_t> offsets;
  for (std::uint64_t offset = 0; std::cin >> offset;) offsets.push_back(offset);
  if (offsets.empty() || depth == 0) fail("no offsets");
  std::unique_ptr<OriginReader> source;
  if (std::string(arguments[4]) == "file") source = std::make_unique<FileSource>(arguments[5], depth);
  else if (count == 9) source = std::make_unique<RbdSource>(arguments + 5, depth);
  else fail("librbd CONF POOL IMAGE SNAPSHOT");

  auto* memory = static_cast<std::byte*>(std::aligned_alloc(4096, depth * length));
  std::memset(memory, 0xa5, depth * length);
  std::vector<Clock::time_point> since(depth);
  std::vector<double> took;
  std::size_t next = 0;
  std::size_t open = 0;
  std::uint64_t sum = 0;
  const auto begin = Clock::now();
  const auto goes_on = [&] {
    return limit.count() > 0 ? Clock::now() - begin < limit : next < offsets.size();
  };
  const auto submit = [&](std::size_t slot) {
    since[slot] = Clock::now();
    source->submit(slot, offsets[next++ % offsets.size()], memory + slot * length, length);
    open++;
  };
  for (std::size_t slot = 0; slot < depth && goes_on(); slot++) submit(slot);
  while (open > 0) {
    const std::size_t slot = source->wait();
    took.push_back(std::chrono::duration<double, std::micro>(Clock::now() - since[slot]).count());
    open--;
    sum += sum_of(memory + slot * length, length);
    if (goes_on()) submit(slot);
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  std::ranges::sort(took);
  std::printf("{\"reads\":%zu,\"seconds\":%.6f,\"mibPerSecond\":%.3f,\"p50Us\":%.1f,\"p99Us\":%.1f,\"sum\":\"%llx\"}\n",
              took.size(), seconds, static_cast<double>(took.size() * length) / seconds / 1048576, at_share(took, 0.5),
              at_share(took, 0.99), static_cast<unsigned long long>(sum));
  std::fflush(stdout);
  std::_Exit(0);  // Nothing of a cluster is waited for.
}
