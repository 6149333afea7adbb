/**
 * Connection of another host: its request goes to its link, and the answer comes from there and from data files, in the
 * order that TypeScript has said. Used by one thread alone.
 */
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/tls-server.h"
#include "http/transport.h"
#include "owned-fd.h"
#include "serving/front.h"
#include "serving/permit.h"
#include "serving/pieces.h"

namespace parentfs::serving {

/** The parts of a thread that its connections use. */
struct ConnectionHost {
  const FrontLimits* limits;
  PieceSender* pieces;
  std::function<void(FrontEvent)> tell;
  /** Watch the other descriptor of a connection. @returns false where the kernel cannot */
  std::function<bool(int fd, std::uint32_t connection, bool is_link)> watch;
  /** Have a piece read by a store thread; `Connection::brought` hears of it. */
  std::function<void(std::uint32_t connection, std::shared_ptr<image::DataFile> file, std::uint64_t offset,
                     std::size_t bytes)>
      bring;
  std::function<void(std::size_t bytes)> count;
  Permits* permits;
  /** Let a connection go on once others had their turn. */
  std::function<void(std::uint32_t connection)> again;
};

class Connection {
 public:
  using Clock = std::chrono::steady_clock;

  Connection(ConnectionHost& host, std::uint32_t number, OwnedFd socket, std::unique_ptr<http::TlsStream> tls);

  /** Go on as far as possible; `events` as of epoll. @returns false when it is over */
  bool advance(bool is_link, std::uint32_t events);
  bool advance();
  void send(SendOrder order);
  void resume(std::uint64_t after) { resume_at_ = after; }
  /** For requests like the one that is at TypeScript now. */
  void permit(Permit permit);
  /** @returns false: it ends now; true: once the answer that it gives by permit is over */
  [[nodiscard]] bool leave();
  void brought(std::shared_ptr<BroughtPiece> piece);
  [[nodiscard]] bool is_late(Clock::time_point now) const { return now > deadline_; }
  [[nodiscard]] bool is_idle() const {
    return phase_ == Phase::serving && !is_busy_ && !is_permitted_ && incoming_.empty();
  }

 private:
  enum class Phase : std::uint8_t { greeting, serving, ending };
  enum class Step : std::uint8_t { progress, none, over };

  bool greet();
  Step send_own_head();
  Step answer_from_link();
  Step answer_from_file();
  Step take_from_link();
  Step give_to_link();
  Step take_request();
  Step forward();
  /** A body, or what its parser has to frame. */
  Step pass_on(std::string_view text);
  bool open_link();
  Step end_answer();
  bool discard_rest();
  /** Begin to answer the request that has come, where the permit covers it. */
  bool answer_by_permit(std::string_view head);
  void count_permitted(std::size_t bytes);
  Step end_permitted();
  /** Have TypeScript send the rest of an answer whose head has gone: its own head is left out. */
  void hand_over();
  /** Takes the head of the rest out of what has come from the link. @returns false where it is no rest */
  bool leave_head_out();
  /** The bytes of the order that are left are not resident. */
  void give_up_order();
  /** The deadline of a request that is at TypeScript: it has its own there, but for one whose end only its parser sees. */
  void wait_for_answer();
  void wait_for(std::chrono::milliseconds most) { deadline_ = Clock::now() + most; }

  ConnectionHost& host_;
  const std::uint32_t number_;
  OwnedFd socket_;
  OwnedFd link_;
  bool is_tls_;
  std::unique_ptr<http::Transport> stream_;
  http::ClientCertificate certificate_;
  Phase phase_ = Phase::greeting;
  bool can_receive_ = true;
  bool can_send_ = true;
  bool link_has_more_ = false;
  bool link_has_room_ = false;
  bool has_ended_ = false;
  /** A request is at TypeScript. */
  bool is_busy_ = false;
  /** All that comes belongs to its parser. */
  bool is_endless_ = false;
  /** Of the body of the request, yet to come. */
  std::uint64_t body_left_ = 0;
  /** A TLS record waits for room: nothing else may be sent before it. */
  bool has_pending_record_ = false;
  /** The head so far, and what came behind it. */
  std::string incoming_;
  std::string to_link_;
  std::vector<char> from_link_;
  std::size_t from_link_sent_ = 0;
  /** Bytes of the link that went to the client. */
  std::uint64_t link_bytes_ = 0;
  std::optional<std::uint64_t> resume_at_;
  std::optional<SendOrder> order_;
  std::uint64_t order_sent_ = 0;
  bool is_bringing_ = false;
  std::shared_ptr<BroughtPiece> brought_;
  /** The request at TypeScript, or the one that is answered by permit: its head. */
  std::string request_;
  std::string permitted_shape_;
  std::optional<Permit> permit_;
  /** An answer by permit is under way: `order_` has its range. */
  bool is_permitted_ = false;
  bool is_leaving_ = false;
  /** Answers by permit since others had their turn. */
  unsigned in_turn_ = 0;
  std::string own_head_;
  std::size_t own_head_sent_ = 0;
  /** The head of the rest comes from the link, and is left out. */
  bool is_rest_ = false;
  std::string rest_head_;
  Clock::time_point deadline_;
};

}  // namespace parentfs::serving
