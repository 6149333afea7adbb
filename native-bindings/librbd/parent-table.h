/**
 * Table of known parents, which TypeScript fills: from the object that a client asks for to the answer. Nothing here
 * waits.
 *
 * A READ of the client follows each answer, so the answer says where it is read best: by path what the store has, from
 * the cluster what is cold. An object is cold while no block of it is held or on its way and it was asked for less than
 * `cold_asks` times, all within `cold_time`: most such objects are read once, and a fetch of whole blocks would cost
 * more than it brings. When clients use more than the cache holds, some objects are not fetched at all (admission.h).
 */
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "image/data-file.h"
#include "librbd/admission.h"
#include "librbd/frames.h"
#include "librbd/token-bucket.h"
#include "mutex.h"

namespace parentfs::librbd {

/** The kinds of answers, as src/librbd/answer-kinds.ts lists them. */
enum class AnswerKind : std::uint8_t {
  resident,
  partial,
  absent,
  unknown,
  cold,
  throttled,
  closing,
  malformed,
  /** Of an image whose mode leaves it to the cluster. */
  mode,
  /** Not admitted: clients use more than the cache holds. */
  pressure,
  /** The first of those that TypeScript gives a reason for. */
  refused,
};

/** Kinds that are counted: those above, and the reasons of refusals. */
inline constexpr std::size_t answer_kinds = 24;

struct Answer {
  AnswerKind kind;
  /** Of the object view; only for `resident` and `partial`. */
  std::uint64_t node;
};

/** A snapshot as librbd names it in its asks. */
struct ParentName {
  std::uint64_t pool_id = 0;
  std::uint64_t snapshot_id = 0;
  std::string name_space;
  /** Objects of the image are named by it, a dot and their number. */
  std::string prefix;
};

/** The part of a parent that its mode leaves to the cluster: an object that is not held whole is a miss. */
enum class LeftToCluster : std::uint8_t { nothing, misses, everything };

/** A parent whose objects are in the view. */
struct KnownParent {
  /** As in wire::ObjectNode. */
  std::uint64_t image = 0;
  std::uint32_t order = 0;
  std::uint64_t size_bytes = 0;
  /** Null: the store has none, and whatever is read is read from the cluster. */
  std::shared_ptr<image::DataFile> file;
  /** Bit k of the bytes: object k exists. Empty: that is not known. */
  std::vector<std::byte> existing;
  LeftToCluster left = LeftToCluster::nothing;
};

struct ColdPolicy {
  std::uint32_t asks = 64;
  std::chrono::milliseconds time{200};
};

struct Throttles {
  double reads_per_second = 0;
  double reads_burst = 0;
  double bytes_per_second = 0;
  double bytes_burst = 0;
};

class ParentTable {
 public:
  using Clock = std::chrono::steady_clock;
  /** Unknown parents that wait for TypeScript; asks of more are not remembered. */
  static constexpr std::size_t waiting_max = 64;
  /** Objects whose asks are remembered: a later one takes the place of an earlier one. */
  static constexpr std::size_t asks_remembered = 32768;

  /** @param on_unknown `take_unknown` has something: from any thread, once until taken; must not block */
  explicit ParentTable(std::function<void()> on_unknown) : on_unknown_(std::move(on_unknown)) {}

  [[nodiscard]] Answer answer(const ReadAsk& ask, Clock::time_point now) EXCLUDES(mutex_);
  void count(AnswerKind kind) { counts_.at(static_cast<std::size_t>(kind)).fetch_add(1, std::memory_order_relaxed); }

  void set(const ParentName& name, KnownParent parent) EXCLUDES(mutex_);
  /** All parents that the image is: from now on read from another file, and left to the cluster as said. */
  void change(std::uint64_t image, const std::shared_ptr<image::DataFile>& file, LeftToCluster left) EXCLUDES(mutex_);
  /** The answer that an ask for an object would get now, as far as its state goes; nothing is counted or remembered. */
  [[nodiscard]] AnswerKind look(const ParentName& name, std::uint64_t number) EXCLUDES(mutex_);
  /** @param reason 0 or more: counted as the kind `refused` + reason */
  void refuse(const ParentName& name, std::uint8_t reason) EXCLUDES(mutex_);
  /** It is unknown from now on. @returns whether it was asked for since the last such question */
  bool remove(const ParentName& name) EXCLUDES(mutex_);
  /** Was it asked for since the last such question? */
  [[nodiscard]] bool take_asked(const ParentName& name) EXCLUDES(mutex_);
  [[nodiscard]] std::vector<ParentName> take_unknown() EXCLUDES(mutex_);
  void set_throttles(const Throttles& throttles, Clock::time_point now) EXCLUDES(mutex_);
  void set_cold_policy(const ColdPolicy& policy) EXCLUDES(mutex_);
  [[nodiscard]] std::uint64_t counted(std::size_t kind) const { return counts_.at(kind).load(std::memory_order_relaxed); }

 private:
  struct Entry {
    KnownParent parent;
    AnswerKind refusal = AnswerKind::unknown;
    bool asked = false;
  };
  struct Asks {
    std::uint64_t node = 0;
    std::uint32_t count = 0;
    Clock::time_point first{};
    /** Its last answer by path; 0 where there was none. */
    Clock::time_point by_path{};
  };
  enum class Held { all, some, none };

  /** `cold` stands for an object of which nothing is held. */
  [[nodiscard]] static AnswerKind judge(const Entry& entry, std::uint64_t number);
  [[nodiscard]] static Held held(const KnownParent& parent, std::uint64_t number);
  /** The known asks for an object; none where another object has its place. */
  [[nodiscard]] Asks& asks_of(std::uint64_t node, Clock::time_point now) REQUIRES(mutex_);
  [[nodiscard]] bool is_cold(Asks& asks, Clock::time_point now) const REQUIRES(mutex_);
  /** An object of which something is missing: is it fetched? */
  [[nodiscard]] bool is_admitted(Asks& asks, AnswerKind kind, Clock::time_point now) REQUIRES(mutex_);
  void note_unknown(const ReadAsk& ask, std::string_view prefix) REQUIRES(mutex_);
  const std::string& key_of(std::uint64_t pool, std::uint64_t snapshot, std::string_view name_space,
                            std::string_view prefix) REQUIRES(mutex_);

  const std::function<void()> on_unknown_;
  std::array<std::atomic<std::uint64_t>, answer_kinds> counts_{};
  Mutex mutex_;
  std::string key_ GUARDED_BY(mutex_);
  std::unordered_map<std::string, Entry> entries_ GUARDED_BY(mutex_);
  std::vector<ParentName> unknown_ GUARDED_BY(mutex_);
  std::unordered_set<std::string> waiting_ GUARDED_BY(mutex_);
  std::vector<Asks> asks_ GUARDED_BY(mutex_) = std::vector<Asks>(asks_remembered);
  ColdPolicy cold_ GUARDED_BY(mutex_);
  Admission admission_ GUARDED_BY(mutex_);
  TokenBucket reads_ GUARDED_BY(mutex_);
  TokenBucket bytes_ GUARDED_BY(mutex_);
};

}  // namespace parentfs::librbd
