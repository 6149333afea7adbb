/** The hit path, and what leads around it. */
#include "session/session-thread.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <limits>
#include <utility>

#include "wire/cursor.h"
#include "wire/object-node.h"

namespace parentfs::session {

namespace {

/** Add to a counter that only the calling thread writes: no locked instruction. */
void count(std::atomic<std::uint64_t>& counter, std::uint64_t more) {
  counter.store(counter.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
}

/** The kernel keeps the pages of the mounted file itself, unless its reader asked for none. */
disk::Pages pages_of(const wire::ReadIn& in, std::uint64_t offset, image::DataFile& file) {
  return (in.flags & O_DIRECT) != 0 ? disk::Pages::leave : file.streams().pages_of(offset, in.size);
}

}  // namespace

int SessionThread::run(const std::atomic<bool>& stopping) {
  // A killed process that has to get memory for a request ends it with EIO, and the next worker never sees it. All that anybody
  // waits for fits into a page. Source: Linux fs/fuse/dev.c, fuse_dev_do_read; mm/gup.c, __get_user_pages (a fatal signal).
  request_memory_.touch(disk::AlignedBuffer::page_bytes);
  const std::span<std::byte> buffer = request_memory_.bytes();
  while (!stopping.load(std::memory_order_acquire)) {
    const ssize_t got = ::read(fd_, buffer.data(), buffer.size());
    if (got > 0) {
      serve(buffer.first(static_cast<std::size_t>(got)));
    } else if (got == 0) {
      return ENODEV;  // The other side of a socket has gone; /dev/fuse never says so.
    } else if (errno == EAGAIN) {
      // The descriptor was made non-blocking. A signal ends this wait too.
      pollfd waiting{.fd = fd_, .events = POLLIN, .revents = 0};
      ::poll(&waiting, 1, -1);
    } else if (errno != ENOENT && errno != EINTR) {
      return errno;  // ENOENT: the request was withdrawn while it was being read.
    }
  }
  return 0;
}

void SessionThread::serve(std::span<const std::byte> request) {
  wire::Cursor cursor(request);
  const auto header = cursor.take<wire::InHeader>();
  if (!header) return;  // Without a header there is no request to answer.
  if (header->opcode == wire::opcode_read && header->length == request.size()) {
    const auto in = cursor.take<wire::ReadIn>();
    if (in && answer_read(header->unique, place_of(*header, *in), *in, request) != Answer::none) return;
  }
  if (header->opcode == wire::opcode_lookup && header->length == request.size() && header->extension_length == 0 &&
      answer_lookup(*header, cursor.rest())) {
    return;
  }
  sink_.forward(request);
}

bool SessionThread::answer_lookup(const wire::InHeader& header, std::span<const std::byte> name) const {
  if (addressing_ != Addressing::by_object || header.node_id != wire::root_node_id) return false;
  const auto entry = entries_.find(name);
  if (entry) (void)write_reply(fd_, header.unique, 0, *entry);
  return entry.has_value();
}

SessionThread::Place SessionThread::place_of(const wire::InHeader& header, const wire::ReadIn& in) const {
  if (addressing_ == Addressing::by_handle) {
    return {.handle = in.fh, .offset = in.offset, .end = std::numeric_limits<std::uint64_t>::max()};
  }
  const auto object = wire::ObjectNode::of(header.node_id);
  const std::uint64_t end = object.offset() + object.bytes();
  return {.handle = object.image, .offset = object.offset() + std::min(in.offset, object.bytes()), .end = end};
}

SessionThread::Answer SessionThread::answer_read(std::uint64_t unique, const Place& place, const wire::ReadIn& in,
                                                 std::span<const std::byte> request) {
  if (in.size > wire::read_bytes_max) return Answer::none;
  const auto since = std::chrono::steady_clock::now();
  const ReplyBuffer reply(reply_memory_.bytes());
  DeferredRead deferred{.file = nullptr, .unique = unique, .fh = place.handle, .offset = place.offset, .length = 0,
                        .pages = disk::Pages::leave};
  image::ReadaheadBuffer::Found shelved;
  const auto outcome = bindings_.with(place.handle, image::ReadOutcome::miss, [&](const auto& file) {
    const std::uint64_t end = std::min(place.end, file->geometry().size_bytes());
    // At and past the end there is nothing: an answer of 0 bytes.
    deferred.length = place.offset >= end ? 0 : std::min<std::uint64_t>(in.size, end - place.offset);
    const std::uint64_t offset = std::min(place.offset, end);
    deferred.pages = pages_of(in, place.offset, *file);
    const auto tick = clock_.tick.load(std::memory_order_relaxed);
    if (!file->shelf().empty()) shelved = file->shelf().look(offset, deferred.length);
    if (shelved.whole()) {
      file->touch(offset, deferred.length, tick);
      file->hits().add(lane_, deferred.length);
      sample(*file, offset, deferred.length);
      return image::ReadOutcome::hit;
    }
    const auto blocking = sink_.may_begin_io() ? image::Blocking::no : image::Blocking::no_io;
    const auto found = file->read(offset, reply.bytes(deferred.length), blocking, tick, deferred.pages);
    if (found == image::ReadOutcome::would_wait) deferred.file = file;
    if (found != image::ReadOutcome::miss) sample(*file, offset, deferred.length);
    if (found == image::ReadOutcome::hit) {
      file->hits().add(lane_, deferred.length);
      if (deferred.pages == disk::Pages::drop_behind) sink_.passed(file, offset, deferred.length);
    }
    if (found == image::ReadOutcome::miss && file->inflight() && file->inflight()->has_origin()) {
      file->touch(offset, deferred.length, tick);
      deferred.file = file;
    }
    return found;
  });
  if (outcome == image::ReadOutcome::miss) {
    const auto file = deferred.file;
    const auto [offset, length] = std::pair(deferred.offset, deferred.length);
    if (!file || !sink_.fetch(std::move(deferred), request)) return Answer::none;
    // Here, and not by the report of it: those come late when there are many, and a sample lives by its order.
    sample(*file, offset, length);
    return Answer::deferred;
  }
  const ReadRange read{.fh = place.handle, .offset = place.offset, .length = deferred.length};
  if (outcome == image::ReadOutcome::would_wait) {
    sink_.defer(std::move(deferred), request);
    if (shelved.news()) sink_.buffer_touched(read);
    return Answer::deferred;
  }
  // Before the answer: its reader may look at the counters at once.
  count(hits_, 1);
  count(hit_bytes_, read.length);
  if (shelved.whole()) {
    write_parts(fd_, unique, read.length, shelved.parts());
  } else {
    reply.send(fd_, unique, read.length);
  }
  if (shelved.news()) sink_.buffer_touched(read);
  latencies_.count_alone(std::chrono::steady_clock::now() - since);
  return Answer::sent;
}

void SessionThread::sample(const image::DataFile& file, std::uint64_t offset, std::size_t length) {
  const auto below = clock_.sampled_below.load(std::memory_order_relaxed);
  if (below != 0 && length > 0 && file.inflight()) samples_.add(file.inflight()->number(), file.geometry(), offset, length, below);
}

Counters SessionThread::counters() const {
  return {.hits = hits_.load(std::memory_order_relaxed),
          .hit_bytes = hit_bytes_.load(std::memory_order_relaxed),
          .deferred = 0,
          .forwarded = 0};
}

}  // namespace parentfs::session
