/** Datagrams to the service manager, one for each connection that begins or ends. */
#include "librbd/held-connections.h"

#include <utility>

#include "syscalls/sockets.h"

namespace parentfs::librbd {

namespace {

std::string fd_name(std::uint64_t number, std::uint32_t slot) {
  return "FDNAME=librbd-" + std::to_string(slot) + "-" + std::to_string(number) + "\n";
}

}  // namespace

HeldConnections::HeldConnections(std::string socket, std::size_t held_max)
    : socket_(std::move(socket)), held_max_(held_max) {}

bool HeldConnections::hold(std::uint64_t number, std::uint32_t slot, int fd) {
  if (syscalls::send_datagram(socket_, "FDSTORE=1\n" + fd_name(number, slot), fd) != 0) return false;
  held_++;
  return true;
}

bool HeldConnections::drop(std::uint64_t number, std::uint32_t slot) {
  held_--;
  return syscalls::send_datagram(socket_, "FDSTOREREMOVE=1\n" + fd_name(number, slot), -1) == 0;
}

}  // namespace parentfs::librbd
