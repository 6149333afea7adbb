/**
 * Range receiver: a thread of its own receives bodies of ranges straight into the reader's memory.
 *
 * It has sockets that are connected to web servers, in TLS or not, and on each one request at a time. The caller sends
 * the request. It hears of the answer when all of it is there, when it cannot be received like this, or when it takes
 * long. The caller judges the head (src/origin/http/connections/native-range-connection.ts): only the place of the body
 * is decided here.
 */
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "mutex.h"
#include "owned-fd.h"
#include "http/transport.h"
#include "http/tls.h"
#include "result.h"

namespace parentfs::http {

/** An event of a connection. */
struct Event {
  enum class Kind : std::uint8_t {
    /** The TLS handshake is done, and the server is the expected one: it may be asked. */
    ready,
    /** TLS was not agreed on: it is no connection any more. */
    refused,
    /** The head of an answer whose body is on its way: reported when that takes long. */
    head,
    /** More of the body has come: told now and then. */
    progress,
    /** All of the body is in its place. With its head, when that was not told. */
    whole,
    /**
     * An answer that is not a range of the asked length, or one too many before the answer (1xx), and its head: nothing
     * more is received on this connection.
     */
    other,
    /**
     * It has ended, or was broken (`error`), or sent bytes that were not asked for (EPROTO): it is no connection any
     * more. With the bytes of a head so far that was not reported.
     */
    lost,
  };
  std::uint32_t connection;
  Kind kind;
  int error = 0;
  /** Of the body, that have come since the last event. */
  std::uint64_t bytes = 0;
  std::string head{};
};

class RangeReceiver {
 public:
  /** Hears once of the end of an exchange: `whole`, `other` or `lost`. Called on any thread, without a lock held. */
  using Ended = std::function<void(const Event&)>;

  /** The longest head. */
  static constexpr std::size_t head_bytes_max = std::size_t{16} * 1024;
  /**
   * Interim responses (1xx), and bytes of them together. Must equal the numbers in src/origin/http/protocol/limits.ts.
   */
  static constexpr unsigned informations_max = 8;
  static constexpr std::size_t information_bytes_max = std::size_t{16} * 1024;

  /** @param on_events called from any thread when there is something to take: once until {@link take_events} */
  explicit RangeReceiver(std::function<void()> on_events);
  /** The same, shared: its last reference may go on its own thread, with the end of an exchange. */
  static std::shared_ptr<RangeReceiver> make(std::function<void()> on_events);
  ~RangeReceiver() { close(); }
  RangeReceiver(const RangeReceiver&) = delete;
  RangeReceiver& operator=(const RangeReceiver&) = delete;

  /** Take a socket that is connected. @returns its id, never 0; or an errno */
  Result<std::uint32_t> adopt(OwnedFd socket) EXCLUDES(mutex_);
  /**
   * The same, with a TLS handshake with `host` before the first request: `ready`, `refused` or `lost` reports its
   * outcome.
   */
  Result<std::uint32_t> adopt(OwnedFd socket, TlsContext& tls, const std::string& host) EXCLUDES(mutex_);
  /**
   * Send a request, and receive the body of its answer into `target`, which stays until `whole`, `other`, `lost` or {@link drop}.
   * @returns 0 or an errno: ENOTCONN when the connection is lost, EBUSY while a request is under way, or while it is not ready
   */
  int ask(std::uint32_t connection, std::string_view request, std::span<std::byte> target) EXCLUDES(mutex_) {
    return ask(connection, request, target, {});
  }
  /**
   * The same on a connection that is taken over: `ended` hears of the outcome, also of {@link drop}, and holds what
   * keeps `target` alive. It is not called when this fails.
   */
  int ask(std::uint32_t connection, std::string_view request, std::span<std::byte> target, Ended ended) EXCLUDES(mutex_);
  /**
   * Take an idle connection over: {@link take_events} tells nothing more of it, and one that is lost is dropped.
   * @returns 0 or an errno: ENOTCONN when the connection is lost, EBUSY while it has a request or is not ready
   */
  int take_over(std::uint32_t connection) EXCLUDES(mutex_);
  /** End a connection. When it returns, nothing is written to its target any more. Idempotent. */
  void drop(std::uint32_t connection) EXCLUDES(mutex_);
  /** The events since the last call, in order. */
  std::vector<Event> take_events() EXCLUDES(events_mutex_);
  /** End the thread and all connections. Idempotent. */
  void close() EXCLUDES(mutex_);

 private:
  using Clock = std::chrono::steady_clock;

  struct Connection {
    enum class State : std::uint8_t { greeting, idle, head, body, ended };

    Connection(std::uint32_t number, OwnedFd own, std::unique_ptr<Transport> bytes, State first)
        : id(number), socket(std::move(own)), stream(std::move(bytes)), state(first) {}

    const std::uint32_t id;
    /** Closed with the last reference, so that each holder can shut it down. */
    const OwnedFd socket;
    Mutex mutex;
    /** Null once it has ended. */
    std::unique_ptr<Transport> stream GUARDED_BY(mutex);
    State state GUARDED_BY(mutex);
    /** Is the thread to hear when something can be sent? */
    bool is_sending GUARDED_BY(mutex) = false;
    /** Unsent bytes, and whether that is for want of room. */
    std::string unsent GUARDED_BY(mutex);
    bool is_full GUARDED_BY(mutex) = false;
    /** Is it among those that hold more? */
    bool is_unfinished GUARDED_BY(mutex) = false;
    /** The bytes of the head so far; and when it is whole, until it is reported. */
    std::string head GUARDED_BY(mutex);
    /** Answers that came before the answer, and their bytes. */
    unsigned informations GUARDED_BY(mutex) = 0;
    std::size_t information_bytes GUARDED_BY(mutex) = 0;
    std::span<std::byte> target GUARDED_BY(mutex);
    /** Bytes of the body that are in `target`, and those of them that were not told yet. */
    std::size_t at GUARDED_BY(mutex) = 0;
    std::size_t untold GUARDED_BY(mutex) = 0;
    Clock::time_point told_at GUARDED_BY(mutex);
    /** Counts its requests. */
    std::uint64_t exchange GUARDED_BY(mutex) = 0;
    bool is_taken_over GUARDED_BY(mutex) = false;
    Ended ended GUARDED_BY(mutex);
  };

  void work();
  Result<std::uint32_t> take(OwnedFd socket, std::unique_ptr<Transport> stream, Connection::State state) EXCLUDES(mutex_);
  void serve(std::uint32_t id) EXCLUDES(mutex_);
  void serve(Connection& connection) EXCLUDES(connection.mutex);
  /** @returns whether requests may be sent */
  bool greet(Connection& connection) REQUIRES(connection.mutex);
  /** Send what is unsent, or as much of it as goes. @returns 0 or an errno */
  int send(Connection& connection) REQUIRES(connection.mutex);
  /** Receive the bytes that are there, as long as it is no other connection's turn. */
  void receive(Connection& connection) REQUIRES(connection.mutex);
  /** @returns false when nothing more is to be received */
  bool begin_body(Connection& connection) REQUIRES(connection.mutex);
  void tell_progress(Connection& connection) REQUIRES(connection.mutex);
  void tell_late_heads();
  [[nodiscard]] int wait_ms() const;
  std::shared_ptr<Connection> find(std::uint32_t id) EXCLUDES(mutex_);
  /** Wait until something can be sent, too, or no longer. */
  void watch(Connection& connection, bool sending) const REQUIRES(connection.mutex);
  /** Nothing is written to its target any more. */
  void leave(Connection& connection) REQUIRES(connection.mutex);
  void lose(Connection& connection, int error) REQUIRES(connection.mutex);
  /** Of the thread alone. */
  void tell(Connection& connection, Event event) REQUIRES(connection.mutex) EXCLUDES(events_mutex_);
  /** Calls the listeners once no lock is held that they may want: this thread may lose its processor to them. */
  void wake();

  /** A head that was not told at once. */
  struct Late {
    std::uint32_t connection;
    std::uint64_t exchange;
    Clock::time_point at;
  };

  std::function<void()> on_events_;
  OwnedFd epoll_;
  OwnedFd wake_;
  Mutex mutex_;
  std::map<std::uint32_t, std::shared_ptr<Connection>> connections_ GUARDED_BY(mutex_);
  std::uint32_t last_id_ GUARDED_BY(mutex_) = 0;
  Mutex events_mutex_;
  std::vector<Event> events_ GUARDED_BY(events_mutex_);
  bool armed_ GUARDED_BY(events_mutex_) = false;
  /** Of the thread alone: is the listener to be called? */
  bool is_wake_due_ = false;
  /** Of the thread alone: exchanges of connections that were taken over, and those of these that are no more. */
  std::vector<std::pair<Ended, Event>> ended_;
  std::vector<std::uint32_t> lost_;
  /** Of the thread alone, in the order of their times. */
  std::deque<Late> late_;
  /** Of the thread alone: connections that hold more than their turn gave them. */
  std::vector<std::uint32_t> unfinished_;
  /** Of the thread alone: where heads are received. */
  std::array<std::byte, head_bytes_max> scratch_{};
  std::thread thread_;
  /** The id of `thread_`, also when it is being waited for. Set before there is a second reference to this. */
  std::thread::id thread_id_;
};

}  // namespace parentfs::http
