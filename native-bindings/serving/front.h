/**
 * Front of the serving port: native threads on the connections of other hosts. They speak TLS, hand each request to
 * TypeScript, and send the bytes of data files themselves.
 *
 * Each connection has a link, a Unix socket whose other end is TypeScript's HTTP server. A request goes there as it came,
 * one at a time; what comes back goes to the client. `send` puts resident bytes of an image at a place in that stream:
 * pages go from the page cache to the socket without a copy, or through TLS.
 *
 * TypeScript decides on every request, or permits further ones like it for a while (permit.h): then the thread answers
 * those of resident bytes by itself.
 *
 * Memory of a connection is bounded: a head, 64 KiB of its link, and one piece that had to wait for the disk. A client
 * that takes nothing is read from no more, and left after a while.
 */
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "disk/store-threads.h"
#include "http/tls-server.h"
#include "image/data-file.h"
#include "mutex.h"
#include "owned-fd.h"
#include "result.h"

namespace parentfs::serving {

class Loop;
struct Permit;
struct Permits;

struct FrontLimits {
  unsigned threads;
  std::size_t head_bytes_max;
  std::chrono::milliseconds handshake_max;
  /** From the first byte of a head to its last. */
  std::chrono::milliseconds head_max;
  std::chrono::milliseconds idle_max;
  /** Without a byte taken by the client. */
  std::chrono::milliseconds take_max;
  /** See sendable-objects.h. */
  std::size_t objects_max;
  /** Members whose bytes are counted one by one. */
  std::size_t members_max;
};

struct FrontEvent {
  enum class Kind : std::uint8_t {
    /** The first request is on its way through `link`, which is whose reads this. */
    link,
    /** `bytes` of the asked part were sent. Fewer than asked: the next ones are not resident. */
    sent,
    /** The connection is no more. */
    closed,
  };
  std::uint32_t connection;
  Kind kind;
  std::uint64_t bytes = 0;
  OwnedFd link;
  http::ClientCertificate certificate;
};

/** Resident bytes of an image, for the place in a connection's stream after `after` bytes of its link. */
struct SendOrder {
  std::uint64_t after;
  std::shared_ptr<image::DataFile> file;
  std::uint64_t offset;
  std::uint64_t length;
};

class Front {
 public:
  /** Runs a job on a store thread. @returns false when there are none any more */
  using Submit = std::function<bool(disk::StoreThreads::Job)>;

  /**
   * @param on_events called on any thread when there are events, once until they are taken
   * @throws std::system_error when there can be no thread
   */
  Front(const FrontLimits& limits, std::function<void()> on_events, Submit submit);
  /** Ends all connections and threads. */
  ~Front();
  Front(const Front&) = delete;
  Front& operator=(const Front&) = delete;

  /** @param socket connected. @param tls null: without. @returns the connection's number */
  Result<std::uint32_t> adopt(OwnedFd socket, const std::shared_ptr<http::TlsServer>& tls);
  void send(std::uint32_t connection, SendOrder order);
  /** The request is answered once `after` bytes of the link went to the client: the next one may come. */
  void resume(std::uint32_t connection, std::uint64_t after);
  /** Ends it; an answer by permit goes to its end first. */
  void drop(std::uint32_t connection);
  /** For requests like the one that it has at TypeScript now. */
  void permit(std::uint32_t connection, Permit permit);
  /** Shared by all connections; revoked are all permits that began before. */
  [[nodiscard]] const std::shared_ptr<Permits>& permits() const { return permits_; }
  /** Ends connections that have no request. */
  void drop_idle();
  [[nodiscard]] std::vector<FrontEvent> take_events();
  /** Bytes of images that were sent. */
  [[nodiscard]] std::uint64_t sent_bytes() const;

 private:
  struct Outbox;

  Loop& loop_of(std::uint32_t connection) { return *loops_[connection % loops_.size()]; }

  std::shared_ptr<Outbox> outbox_;
  std::shared_ptr<Permits> permits_;
  std::vector<std::shared_ptr<Loop>> loops_;
  std::uint32_t last_ = 0;
};

}  // namespace parentfs::serving
