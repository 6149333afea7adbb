/**
 * One thread on /dev/fuse: it answers READs that the store has whole and in memory, passes those that need the disk to
 * the store threads, and hands everything else over as it came.
 *
 * The thread waits in read(2) alone; a session stops it with a signal (see session.cc), so that a request costs no
 * poll.
 */
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "session/handle-table.h"
#include "session/latencies.h"
#include "session/object-entries.h"
#include "session/read-reports.h"
#include "session/reply.h"
#include "session/use-samples.h"
#include "disk/aligned-buffer.h"
#include "wire/fuse.h"

namespace parentfs::session {

/** Clock and sampling of hits: TypeScript sets them, every thread reads them. On a cache line of its own. */
struct alignas(64) Clock {
  /** The `lastUse` that hits write. */
  std::atomic<std::uint32_t> tick{0};
  /** Objects whose hash is below it are sampled, see UseSamples; 0: none. */
  std::atomic<std::uint32_t> sampled_below{0};
};

/** Counters of a session. Each thread counts for itself; the numbers are added when they are asked for. */
struct Counters {
  std::uint64_t hits = 0;
  std::uint64_t hit_bytes = 0;
  std::uint64_t deferred = 0;
  std::uint64_t forwarded = 0;
};

/** The names under which READs find their bytes: file handles of images, or node ids of objects of images. */
enum class Addressing { by_handle, by_object };

/** A READ that waits for the disk or the origin: all that its answer needs. */
struct DeferredRead {
  std::shared_ptr<image::DataFile> file;
  std::uint64_t unique;
  std::uint64_t fh;
  std::uint64_t offset;
  std::size_t length;
  disk::Pages pages;
};

/** Interface of a session to its threads. Called from any of them. */
class RequestSink {
 public:
  virtual ~RequestSink() = default;
  virtual void forward(std::span<const std::byte> request) = 0;
  /** Answer from a store thread; forward `request` if that fails. */
  virtual void defer(DeferredRead read, std::span<const std::byte> request) = 0;
  /** May the kernel begin to read from the disk for a hit that the page cache lacks? Asked for each. */
  [[nodiscard]] virtual bool may_begin_io() const = 0;
  /** Report that a range of the read-ahead buffer is read. */
  virtual void buffer_touched(const ReadRange& read) = 0;
  /** A stream that drops its pages behind it has read this, as a hit. Must not block. */
  virtual void passed(const std::shared_ptr<image::DataFile>& file, std::uint64_t offset, std::size_t length) = 0;
  /** Answer from the origin; forward `request` if that fails. @returns false when the read is TypeScript's */
  [[nodiscard]] virtual bool fetch(DeferredRead read, std::span<const std::byte> request) = 0;
};

class alignas(64) SessionThread {
 public:
  /** @param lane which of the threads it is, from 0 on */
  SessionThread(int fd, std::size_t lane, const Clock& clock, RequestSink& sink,
                Addressing addressing = Addressing::by_handle)
      : fd_(fd), lane_(lane), addressing_(addressing), clock_(clock), sink_(sink) {}

  /** Serve until read(2) fails for good or `stopping` is set. @returns 0 when stopped, else the errno */
  int run(const std::atomic<bool>& stopping);
  /** Serve one request, as it was read. */
  void serve(std::span<const std::byte> request);

  [[nodiscard]] HandleTable& bindings() { return bindings_; }
  /** Of objects; empty where READs come by handle. */
  [[nodiscard]] ObjectEntries& entries() { return entries_; }
  /** Of its hits, and of those that it left to store threads. */
  [[nodiscard]] UseSamples& samples() { return samples_; }
  /** Any thread may ask. */
  [[nodiscard]] Counters counters() const;
  /** Of its hits, from the request to the end of the answer. Any thread may ask. */
  [[nodiscard]] Latencies::Counts latencies() const { return latencies_.counts(); }

 private:
  enum class Answer { sent, deferred, none };

  void sample(const image::DataFile& file, std::uint64_t offset, std::size_t length);
  /** A READ in terms of a bound file: its handle, and where its bytes end at the latest. */
  struct Place {
    std::uint64_t handle;
    std::uint64_t offset;
    std::uint64_t end;
  };

  [[nodiscard]] Place place_of(const wire::InHeader& header, const wire::ReadIn& in) const;
  /** @returns false when it is TypeScript's */
  bool answer_lookup(const wire::InHeader& header, std::span<const std::byte> name) const;
  Answer answer_read(std::uint64_t unique, const Place& place, const wire::ReadIn& in,
                     std::span<const std::byte> request);

  int fd_;
  std::size_t lane_;
  Addressing addressing_;
  const Clock& clock_;
  RequestSink& sink_;
  HandleTable bindings_;
  ObjectEntries entries_;
  disk::AlignedBuffer request_memory_{wire::request_bytes_max};
  disk::AlignedBuffer reply_memory_{ReplyBuffer::header_room + wire::read_bytes_max};
  // Written by this thread alone.
  std::atomic<std::uint64_t> hits_{0};
  std::atomic<std::uint64_t> hit_bytes_{0};
  Latencies latencies_;
  UseSamples samples_;
};

}  // namespace parentfs::session
