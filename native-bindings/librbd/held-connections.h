/**
 * Connections that the service manager holds (systemd's descriptor store), so that they outlive the supervisor. Each has
 * a name of its own, `librbd-SLOT-NUMBER`, by which the next supervisor knows its place in the journal.
 *
 * The manager drops those that hang up by itself. For one thread at a time. Source: sd_notify(3), FDSTORE.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace parentfs::librbd {

class HeldConnections {
 public:
  /** Nobody holds any. */
  HeldConnections() = default;
  /**
   * @param socket the manager's
   * @param held_max connections that it has room for
   */
  HeldConnections(std::string socket, std::size_t held_max);

  [[nodiscard]] bool has_room() const { return held_ < held_max_; }
  /** One is held already: an earlier supervisor had it held. */
  void kept() { held_++; }
  /** One has hung up: the manager drops it by itself. */
  void forget() { held_--; }
  /** Waits up to a second for a manager that is busy. @returns whether it was told */
  [[nodiscard]] bool hold(std::uint64_t number, std::uint32_t slot, int fd);
  /** Have it held no more, although it has not hung up. The same wait. */
  bool drop(std::uint64_t number, std::uint32_t slot);

 private:
  std::string socket_;
  std::size_t held_max_ = 0;
  std::size_t held_ = 0;
};

}  // namespace parentfs::librbd
