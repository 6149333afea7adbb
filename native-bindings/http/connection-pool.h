/**
 * Connection pool: idle connections to one web server, for native exchanges of all images there. TypeScript dials them
 * and adds them; one that is used goes back when its answer was what it should be.
 */
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "http/range-receiver.h"
#include "mutex.h"

namespace parentfs::http {

class ConnectionPool {
 public:
  using Milliseconds = std::chrono::milliseconds;

  /** Exchanges since the last question. */
  struct News {
    /** Those that found no idle connection. */
    std::uint32_t starved;
    /** Those whose answer could not be used. */
    std::uint32_t failed;
  };

  explicit ConnectionPool(std::shared_ptr<RangeReceiver> receiver) : receiver_(std::move(receiver)) {}
  ~ConnectionPool() { close(); }
  ConnectionPool(const ConnectionPool&) = delete;
  ConnectionPool& operator=(const ConnectionPool&) = delete;

  /** Take over an idle connection of the receiver. @returns 0; or an errno, and it is dropped */
  int add(std::uint32_t connection) EXCLUDES(mutex_);
  /**
   * Send a request on an idle connection; `ended` hears of the outcome, and has to {@link release} the connection.
   * @returns false when there is none; `ended` is not called then
   */
  [[nodiscard]] bool ask(std::string_view request, std::span<std::byte> target, const RangeReceiver::Ended& ended)
      EXCLUDES(mutex_);
  /** An exchange is over. @param is_right its answer was used, @param keep and another one may follow */
  void release(std::uint32_t connection, bool is_right, bool keep) EXCLUDES(mutex_);
  /** End connections that are idle for longer than `idle`, and exchanges that take longer than `exchange`. */
  void expire(Milliseconds idle, Milliseconds exchange) EXCLUDES(mutex_);
  News take_news() EXCLUDES(mutex_);
  /** Connections, idle or not. */
  [[nodiscard]] std::size_t size() EXCLUDES(mutex_);
  /** End all connections. Idempotent. */
  void close() EXCLUDES(mutex_);

 private:
  using Clock = std::chrono::steady_clock;

  struct Idle {
    std::uint32_t connection;
    Clock::time_point since;
  };

  /** An idle connection, which is busy now; 0: there is none. */
  std::uint32_t take() EXCLUDES(mutex_);

  const std::shared_ptr<RangeReceiver> receiver_;
  Mutex mutex_;
  /** The one that was used last is used next; the first ones expire. */
  std::vector<Idle> idle_ GUARDED_BY(mutex_);
  /** With the begin of its exchange. */
  std::map<std::uint32_t, Clock::time_point> busy_ GUARDED_BY(mutex_);
  News news_ GUARDED_BY(mutex_) = {};
  bool closed_ GUARDED_BY(mutex_) = false;
};

}  // namespace parentfs::http
