/**
 * Range reader: one version of an image on a web server, read in ranges on the connections of a pool. It serves a range
 * only where the head says without a doubt that it is one of that version. Any other answer ends it, and TypeScript,
 * which judges such answers, has to make a new one.
 */
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "http/connection-pool.h"
#include "http/response-head.h"
#include "image/origin-reader.h"

namespace parentfs::http {

class RangeReader final : public image::OriginReader, public std::enable_shared_from_this<RangeReader> {
 public:
  using Clock = std::chrono::steady_clock;

  /**
   * @param request the request line and all headers but Range, with their line ends and without the empty line
   * @param until the request may not be sent later
   */
  RangeReader(std::shared_ptr<ConnectionPool> pool, std::string request, Version version, Clock::time_point until)
      : pool_(std::move(pool)), request_(std::move(request)), version_(std::move(version)), until_(until) {}

  bool read(std::uint64_t offset, std::span<std::byte> target, Done done) override;
  /** Has the server answered otherwise? Nothing more is read then. */
  [[nodiscard]] bool is_over() const { return is_over_.load(std::memory_order_relaxed); }

 private:
  const std::shared_ptr<ConnectionPool> pool_;
  const std::string request_;
  const Version version_;
  const Clock::time_point until_;
  std::atomic<bool> is_over_{false};
};

}  // namespace parentfs::http
