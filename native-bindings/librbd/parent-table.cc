/** The decision about one object, and the changes of the table. */
#include "librbd/parent-table.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

#include "wire/object-node.h"

namespace parentfs::librbd {

namespace {

/** Digits of an object's number in its name. Source: Ceph src/librbd/Utils.h, RBD_DATA_PREFIX; "%016llx". */
constexpr std::size_t number_digits = 16;

/** Nothing is held of an object that clients were sent to before: it was evicted. Sooner, its fetch may be on its way. */
constexpr std::chrono::milliseconds evicted_after{500};
/** One that was not used for longer is fetched again as any other: it was evicted in good order. */
constexpr std::chrono::minutes in_use_for{10};

struct ObjectName {
  std::string_view prefix;
  std::uint64_t number;
};

std::optional<ObjectName> parts_of(std::string_view object) {
  if (object.size() < number_digits + 2 || object[object.size() - number_digits - 1] != '.') return std::nullopt;
  const std::string_view digits = object.substr(object.size() - number_digits);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), number, 16);
  if (error != std::errc{} || end != digits.end()) return std::nullopt;
  return ObjectName{.prefix = object.substr(0, object.size() - number_digits - 1), .number = number};
}

template <class Number>
void append(std::string& key, Number number) {
  key.append(reinterpret_cast<const char*>(&number), sizeof number);
}

bool exists(const KnownParent& parent, std::uint64_t number) {
  const std::size_t at = number / 8;
  if (at >= parent.existing.size()) return true;
  return (std::to_integer<unsigned>(parent.existing[at]) >> (number % 8) & 1U) != 0;
}

}  // namespace

Answer ParentTable::answer(const ReadAsk& ask, Clock::time_point now) {
  const auto object = parts_of(ask.object);
  if (!object) return {.kind = AnswerKind::malformed, .node = 0};
  const Lock lock(mutex_);
  const auto found = entries_.find(key_of(ask.pool_id, ask.snapshot_id, ask.name_space, object->prefix));
  if (found == entries_.end()) {
    note_unknown(ask, object->prefix);
    return {.kind = AnswerKind::unknown, .node = 0};
  }
  Entry& entry = found->second;
  entry.asked = true;
  const KnownParent& parent = entry.parent;
  const std::uint64_t object_bytes = std::uint64_t{1} << parent.order;
  if (parent.image != 0 && ask.object_bytes != 0 && ask.object_bytes != object_bytes) {
    return {.kind = AnswerKind::malformed, .node = 0};
  }
  const AnswerKind kind = judge(entry, object->number);
  const std::uint64_t node =
      wire::ObjectNode{.image = parent.image, .order = parent.order, .number = object->number}.id();
  if (kind != AnswerKind::resident && kind != AnswerKind::partial && kind != AnswerKind::cold) {
    return {.kind = kind, .node = 0};
  }
  Asks& asks = asks_of(node, now);
  if (kind == AnswerKind::resident) {
    asks.by_path = now;
    return {.kind = kind, .node = node};
  }
  if (kind == AnswerKind::cold && is_cold(asks, now)) return {.kind = kind, .node = 0};
  const bool can_be_held = parent.file != nullptr;
  if (can_be_held && !is_admitted(asks, kind, now)) return {.kind = AnswerKind::pressure, .node = 0};
  if (!reads_.may_take(now) || !bytes_.may_take(now)) return {.kind = AnswerKind::throttled, .node = 0};
  reads_.take(1);
  bytes_.take(static_cast<double>(parent.file ? parent.file->geometry().block_bytes() : object_bytes));
  asks.by_path = now;
  return {.kind = AnswerKind::partial, .node = node};
}

AnswerKind ParentTable::look(const ParentName& name, std::uint64_t number) {
  const Lock lock(mutex_);
  const auto found = entries_.find(key_of(name.pool_id, name.snapshot_id, name.name_space, name.prefix));
  return found == entries_.end() ? AnswerKind::unknown : judge(found->second, number);
}

AnswerKind ParentTable::judge(const Entry& entry, std::uint64_t number) {
  const KnownParent& parent = entry.parent;
  if (parent.image == 0) return entry.refusal;
  const std::uint64_t objects = (parent.size_bytes + (std::uint64_t{1} << parent.order) - 1) >> parent.order;
  if (number >= objects) return AnswerKind::malformed;
  if (parent.left == LeftToCluster::everything) return AnswerKind::mode;
  if (!exists(parent, number)) return AnswerKind::absent;
  const Held held_now = held(parent, number);
  if (held_now == Held::all) return AnswerKind::resident;
  if (parent.left == LeftToCluster::misses) return AnswerKind::mode;
  return held_now == Held::none ? AnswerKind::cold : AnswerKind::partial;
}

ParentTable::Held ParentTable::held(const KnownParent& parent, std::uint64_t number) {
  if (!parent.file) return Held::none;
  const residency::Geometry& geometry = parent.file->geometry();
  const std::uint64_t first = number << parent.order;
  const std::uint64_t last = std::min(first + (std::uint64_t{1} << parent.order), geometry.size_bytes()) - 1;
  const auto& table = *parent.file->table();
  const auto& inflight = parent.file->inflight();
  bool all = true;
  bool any = false;
  for (std::uint64_t k = geometry.object_of(first); k <= geometry.object_of(last) && (all || !any); k++) {
    const std::uint64_t wanted = geometry.touched(k, first, last);
    const std::uint64_t resident = table.resident(k).load(std::memory_order_relaxed) & wanted;
    all = all && resident == wanted;
    any = any || resident != 0;
    if (any || !inflight) continue;
    // On their way, or recorded before this start and not verified yet.
    const auto* claims = static_cast<const image::InflightTable::Claims*>(inflight->memory()->data()) + k;
    auto& claimed = const_cast<std::uint64_t&>(claims->claimed);
    auto& unverified = const_cast<std::uint64_t&>(claims->unverified);
    any = ((std::atomic_ref(claimed).load(std::memory_order_relaxed) |
            std::atomic_ref(unverified).load(std::memory_order_relaxed)) & wanted) != 0;
  }
  return all ? Held::all : any ? Held::some : Held::none;
}

ParentTable::Asks& ParentTable::asks_of(std::uint64_t node, Clock::time_point now) {
  Asks& asks = asks_[(hash_of_node(node) >> 32U) % asks_remembered];
  if (asks.node != node) asks = {.node = node, .count = 0, .first = now, .by_path = {}};
  return asks;
}

bool ParentTable::is_cold(Asks& asks, Clock::time_point now) const {
  asks.count++;
  return asks.count < cold_.asks && now - asks.first < cold_.time;
}

bool ParentTable::is_admitted(Asks& asks, AnswerKind kind, Clock::time_point now) {
  if (!admission_.admits(asks.node, now)) return false;
  const auto unused = now - asks.by_path;
  const bool was_held = asks.by_path != Clock::time_point{} && unused > evicted_after && unused < in_use_for;
  if (kind == AnswerKind::cold && was_held) admission_.refetched();
  return true;
}

void ParentTable::note_unknown(const ReadAsk& ask, std::string_view prefix) {
  if (unknown_.size() >= waiting_max || !waiting_.insert(key_).second) return;
  unknown_.push_back({.pool_id = ask.pool_id,
                      .snapshot_id = ask.snapshot_id,
                      .name_space = std::string(ask.name_space),
                      .prefix = std::string(prefix)});
  if (unknown_.size() == 1) on_unknown_();
}

const std::string& ParentTable::key_of(std::uint64_t pool, std::uint64_t snapshot, std::string_view name_space,
                                       std::string_view prefix) {
  key_.clear();
  append(key_, pool);
  append(key_, snapshot);
  append(key_, static_cast<std::uint32_t>(name_space.size()));
  key_.append(name_space).append(prefix);
  return key_;
}

void ParentTable::set(const ParentName& name, KnownParent parent) {
  const Lock lock(mutex_);
  Entry& entry = entries_[key_of(name.pool_id, name.snapshot_id, name.name_space, name.prefix)];
  entry.parent = std::move(parent);
  waiting_.erase(key_);
}

void ParentTable::change(std::uint64_t image, const std::shared_ptr<image::DataFile>& file, LeftToCluster left) {
  const Lock lock(mutex_);
  for (auto& [key, entry] : entries_) {
    if (entry.parent.image != image) continue;
    entry.parent.file = file;
    entry.parent.left = left;
  }
}

void ParentTable::refuse(const ParentName& name, std::uint8_t reason) {
  const Lock lock(mutex_);
  Entry& entry = entries_[key_of(name.pool_id, name.snapshot_id, name.name_space, name.prefix)];
  entry.parent = {};
  const auto last = static_cast<std::uint8_t>(answer_kinds - 1);
  const auto first = static_cast<std::uint8_t>(AnswerKind::refused);
  entry.refusal = static_cast<AnswerKind>(std::min<std::uint8_t>(last, first + reason));
  waiting_.erase(key_);
}

bool ParentTable::remove(const ParentName& name) {
  const Lock lock(mutex_);
  const auto found = entries_.find(key_of(name.pool_id, name.snapshot_id, name.name_space, name.prefix));
  waiting_.erase(key_);
  if (found == entries_.end()) return false;
  const bool asked = found->second.asked;
  entries_.erase(found);
  return asked;
}

bool ParentTable::take_asked(const ParentName& name) {
  const Lock lock(mutex_);
  const auto found = entries_.find(key_of(name.pool_id, name.snapshot_id, name.name_space, name.prefix));
  return found != entries_.end() && std::exchange(found->second.asked, false);
}

std::vector<ParentName> ParentTable::take_unknown() {
  const Lock lock(mutex_);
  return std::exchange(unknown_, {});
}

void ParentTable::set_throttles(const Throttles& throttles, Clock::time_point now) {
  const Lock lock(mutex_);
  reads_.set(throttles.reads_per_second, throttles.reads_burst, now);
  bytes_.set(throttles.bytes_per_second, throttles.bytes_burst, now);
}

void ParentTable::set_cold_policy(const ColdPolicy& policy) {
  const Lock lock(mutex_);
  cold_ = policy;
}

}  // namespace parentfs::librbd
