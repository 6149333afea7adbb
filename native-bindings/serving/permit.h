/**
 * Permits: TypeScript's decision on one request, remembered by its connection for further requests of the same shape. A
 * native thread then answers those whose range is offered, resident and within the rate; all others go to TypeScript.
 *
 * A permit ends after a time, and all of them at once when TypeScript revokes.
 */
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "image/data-file.h"
#include "serving/member-bytes.h"
#include "serving/request-shape.h"
#include "serving/sendable-objects.h"
#include "serving/sending-rate.h"

namespace parentfs::serving {

struct Permit {
  /** Of {@link Permits::revocations} when TypeScript began to decide. */
  std::uint64_t revocations;
  std::chrono::steady_clock::time_point until;
  std::shared_ptr<image::DataFile> file;
  /** The head of each answer, but for length, range, checksums and the empty line. */
  std::string head;
  /** Its ranges are whole blocks of one object, and their checksums are told. */
  bool is_summed;
  std::uint64_t range_bytes_max;
  /** Null: nobody's. */
  ByteCount sent;
};

/** An answer that a native thread gives by itself. */
struct PermittedAnswer {
  std::string head;
  std::uint64_t offset;
  std::uint64_t length;
};

/** The shared state of a front's connections. */
struct Permits {
  Permits(std::size_t objects_max, std::size_t members_max) : offers(objects_max), members(members_max) {}

  std::atomic<std::uint64_t> revocations{0};
  SendableObjects offers;
  SendingRate rate;
  MemberBytes members;
  /** Of answers that native threads gave by themselves, whole. */
  std::atomic<std::uint64_t> answers{0};
  std::atomic<std::uint64_t> bytes{0};

  [[nodiscard]] bool holds(const Permit& permit, SendableObjects::Clock::time_point now) const {
    return now < permit.until && permit.revocations == revocations.load(std::memory_order_acquire);
  }
  /** @returns nothing where TypeScript has to decide; the bytes are booked otherwise */
  [[nodiscard]] std::optional<PermittedAnswer> answer(const Permit& permit, const RequestShape& asked);
};

}  // namespace parentfs::serving
