/** Idle and busy connections of one server. */
#include "http/connection-pool.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace parentfs::http {

int ConnectionPool::add(std::uint32_t connection) {
  int error = receiver_->take_over(connection);
  if (error == 0) {
    const Lock lock(mutex_);
    if (closed_) error = ECANCELED;
    else idle_.push_back({.connection = connection, .since = Clock::now()});
  }
  if (error != 0) receiver_->drop(connection);
  return error;
}

bool ConnectionPool::ask(std::string_view request, std::span<std::byte> target, const RangeReceiver::Ended& ended) {
  while (const std::uint32_t connection = take()) {
    if (receiver_->ask(connection, request, target, ended) == 0) return true;
    // Its server has closed it, which is no failure: nothing was asked.
    receiver_->drop(connection);
    const Lock lock(mutex_);
    busy_.erase(connection);
  }
  return false;
}

std::uint32_t ConnectionPool::take() {
  const Lock lock(mutex_);
  if (idle_.empty()) {
    news_.starved++;
    return 0;
  }
  const std::uint32_t connection = idle_.back().connection;
  idle_.pop_back();
  busy_.emplace(connection, Clock::now());
  return connection;
}

void ConnectionPool::release(std::uint32_t connection, bool is_right, bool keep) {
  {
    const Lock lock(mutex_);
    busy_.erase(connection);
    if (!is_right) news_.failed++;
    keep = keep && is_right && !closed_;
    if (keep) idle_.push_back({.connection = connection, .since = Clock::now()});
  }
  if (!keep) receiver_->drop(connection);
}

void ConnectionPool::expire(Milliseconds idle, Milliseconds exchange) {
  std::vector<std::uint32_t> over;
  {
    const Lock lock(mutex_);
    const auto now = Clock::now();
    const auto stale = std::ranges::find_if(idle_, [&](const Idle& kept) { return now - kept.since < idle; });
    for (auto kept = idle_.begin(); kept != stale; kept++) over.push_back(kept->connection);
    idle_.erase(idle_.begin(), stale);
    for (const auto& [connection, since] : busy_) {
      if (now - since >= exchange) over.push_back(connection);
    }
  }
  // A busy one is released by the end of its exchange.
  for (const std::uint32_t connection : over) receiver_->drop(connection);
}

ConnectionPool::News ConnectionPool::take_news() {
  const Lock lock(mutex_);
  return std::exchange(news_, {});
}

std::size_t ConnectionPool::size() {
  const Lock lock(mutex_);
  return idle_.size() + busy_.size();
}

void ConnectionPool::close() {
  {
    const Lock lock(mutex_);
    closed_ = true;
  }
  expire(Milliseconds(0), Milliseconds(0));
}

}  // namespace parentfs::http
