/** The in-flight table: claiming, joining, and the end of a fetch. */
#include "image/inflight-table.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <utility>

#include "image/miss-engine.h"

namespace parentfs::image {

Result<std::shared_ptr<InflightTable>> InflightTable::make(std::shared_ptr<MissEngine> engine,
                                                           std::shared_ptr<residency::Table> residency,
                                                           const residency::Geometry& geometry) {
  auto claims = residency::Table::map(geometry.objects());
  if (!claims.ok()) return Failure{claims.error()};
  return std::make_shared<InflightTable>(std::move(engine), std::move(residency), std::move(claims.value()), geometry);
}

InflightTable::InflightTable(std::shared_ptr<MissEngine> engine, std::shared_ptr<residency::Table> residency,
                             std::shared_ptr<residency::Table> claims, const residency::Geometry& geometry)
    : engine_(std::move(engine)), residency_(std::move(residency)), claims_(std::move(claims)), geometry_(geometry),
      number_(engine_->next_file()) {}

void InflightTable::set_origin(std::shared_ptr<OriginReader> origin) {
  // The one before goes after the lock: it may close files.
  const Lock lock(mutex_);
  has_origin_.store(origin != nullptr, std::memory_order_release);
  origin_.swap(origin);
}

std::uint64_t InflightTable::unverified(std::uint64_t object) const {
  return std::atomic_ref(static_cast<Claims*>(claims_->data())[object].unverified).load(std::memory_order_acquire);
}

InflightTable::Outcome InflightTable::fetch(std::uint64_t offset, std::size_t length, FetchWaiter::Done done) {
  if (!has_origin() || length == 0 || !geometry_.contains(offset, length)) return Outcome::elsewhere;
  const std::uint64_t object = geometry_.object_of(offset);
  if (geometry_.object_of(offset + length - 1) != object) return Outcome::elsewhere;
  const auto waiter = std::make_shared<FetchWaiter>(std::move(done));
  std::shared_ptr<OriginReader> origin;
  Fetches made;
  {
    const Lock lock(mutex_);
    if (!origin_ || !origin_->may_read(offset, length)) return Outcome::elsewhere;
    const auto resident = [&] { return residency_->resident(object).load(std::memory_order_acquire); };
    const std::uint64_t missing = geometry_.touched(object, offset, offset + length - 1) & ~resident();
    if (missing == 0 || (unverified(object) & missing) != 0) return Outcome::elsewhere;
    std::uint64_t rest = missing;
    const auto touching = [&](const auto& known) { return (known->blocks & missing) != 0; };
    Fetches joined;
    if (const auto known = by_object_.find(object); known != by_object_.end()) {
      std::ranges::copy_if(known->second, std::back_inserter(joined), touching);
    }
    for (const auto& known : joined) rest &= ~known->blocks;
    const std::uint64_t own = rest & ~claimed(object).fetch_or(rest, std::memory_order_acq_rel);
    // Looked at again, after the claim: a promotion may have ended meanwhile.
    if (own != rest || (resident() & rest) != 0 || !make_fetches(object, rest, made)) {
      claimed(object).fetch_and(~own, std::memory_order_acq_rel);
      return Outcome::elsewhere;
    }
    for (const auto& one : made) joined.push_back(one);
    for (const auto& one : joined) {
      waiter->expect(one);
      if (one->state == InflightFetch::State::coming) one->waiters.push_back(waiter);
      else waiter->count_down(true);
    }
    origin = origin_;
  }
  for (const auto& one : made) start(*origin, one);
  waiter->count_down(true);
  return Outcome::waiting;
}

bool InflightTable::make_fetches(std::uint64_t object, std::uint64_t blocks, Fetches& made) {
  const std::uint64_t first_of_object = object << residency::object_shift;
  while (blocks != 0) {
    const int first = std::countr_zero(blocks);
    const int count = std::countr_one(blocks >> first);
    const std::uint64_t run = (count == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1) << first;
    const std::uint64_t begin = geometry_.offset_of_block(first_of_object + first);
    const std::uint64_t end = std::min(geometry_.offset_of_block(first_of_object + first + count), geometry_.size_bytes());
    auto one = end - begin > fetch_bytes_max ? nullptr : engine_->make(weak_from_this(), object, run, begin, end - begin);
    if (!one) {
      for (const auto& other : made) engine_->ended(*other);
      made.clear();
      return false;
    }
    made.push_back(std::move(one));
    blocks &= ~run;
  }
  for (const auto& one : made) by_object_[object].push_back(one);
  return true;
}

void InflightTable::start(OriginReader& origin, const std::shared_ptr<InflightFetch>& fetch) {
  const auto done = [self = shared_from_this(), fetch](bool right) { self->over(fetch, right); };
  if (!origin.read(fetch->offset, fetch->bytes, done)) over(fetch, false);
}

void InflightTable::over(const std::shared_ptr<InflightFetch>& fetch, bool right) {
  std::vector<std::shared_ptr<FetchWaiter>> waiters;
  bool is_told = right;
  {
    const Lock lock(mutex_);
    if (fetch->state != InflightFetch::State::coming) return;
    fetch->state = right ? InflightFetch::State::here : InflightFetch::State::over;
    waiters = std::exchange(fetch->waiters, {});
    if (!right) {
      erase(*fetch);
      is_told = fetch->is_joined;
      if (!fetch->is_joined) claimed(fetch->object).fetch_and(~fetch->blocks, std::memory_order_acq_rel);
    }
  }
  engine_->ended(*fetch);
  is_far_.store(std::chrono::steady_clock::now() - fetch->since > far_latency, std::memory_order_relaxed);
  for (const auto& waiter : waiters) waiter->count_down(right);
  if (is_told) engine_->report({.table = shared_from_this(), .fetch = fetch, .right = right});
}

InflightTable::Fetches InflightTable::join(std::uint64_t object, std::uint64_t blocks) {
  Fetches joined;
  const Lock lock(mutex_);
  const auto known = by_object_.find(object);
  if (known == by_object_.end()) return joined;
  for (const auto& fetch : known->second) {
    if ((fetch->blocks & blocks) == 0) continue;
    fetch->is_joined = true;
    joined.push_back(fetch);
  }
  return joined;
}

std::uint64_t InflightTable::coming(std::uint64_t object) {
  const Lock lock(mutex_);
  std::uint64_t blocks = 0;
  if (const auto known = by_object_.find(object); known != by_object_.end()) {
    for (const auto& fetch : known->second) blocks |= fetch->blocks;
  }
  return blocks;
}

void InflightTable::release(const std::shared_ptr<InflightFetch>& fetch) {
  const Lock lock(mutex_);
  if (fetch->state != InflightFetch::State::here) return;
  fetch->state = InflightFetch::State::over;
  if (erase(*fetch)) claimed(fetch->object).fetch_and(~fetch->blocks, std::memory_order_acq_rel);
}

bool InflightTable::erase(const InflightFetch& fetch) {
  const auto known = by_object_.find(fetch.object);
  if (known == by_object_.end()) return false;
  const bool was_there = std::erase_if(known->second, [&](const auto& one) { return one.get() == &fetch; }) > 0;
  if (known->second.empty()) by_object_.erase(known);
  return was_there;
}

}  // namespace parentfs::image
