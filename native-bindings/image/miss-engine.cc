/** The miss engine: what is under way, and what has ended. */
#include "image/miss-engine.h"

#include "image/inflight-table.h"

namespace parentfs::image {

std::shared_ptr<InflightFetch> MissEngine::make(std::weak_ptr<InflightTable> table, std::uint64_t object,
                                                std::uint64_t blocks, std::uint64_t offset, std::size_t length) {
  const auto piece = memory_->take(length);
  if (piece.empty()) return nullptr;
  const Lock lock(mutex_);
  auto fetch = std::make_shared<InflightFetch>(memory_, piece, ++last_id_, object, blocks, offset);
  under_way_.emplace(fetch->id, UnderWay{.table = std::move(table), .fetch = fetch});
  return fetch;
}

void MissEngine::ended(const InflightFetch& fetch) {
  decltype(under_way_)::node_type gone;  // Its fetch may be the last reference: freed after the lock.
  const Lock lock(mutex_);
  gone = under_way_.extract(fetch.id);
}

void MissEngine::report(Report report) {
  report.took = std::chrono::steady_clock::now() - report.fetch->since;
  const Lock lock(mutex_);
  if (closed_) return;
  reports_.push_back(std::move(report));
  if (reports_.size() == 1 && on_reports_) on_reports_();
}

std::vector<MissEngine::Report> MissEngine::take_reports() {
  const Lock lock(mutex_);
  return std::exchange(reports_, {});
}

bool MissEngine::has_reports() {
  const Lock lock(mutex_);
  return !reports_.empty();
}

std::size_t MissEngine::abandon_older(std::chrono::milliseconds age) {
  const auto before = std::chrono::steady_clock::now() - age;
  std::vector<UnderWay> older;
  {
    const Lock lock(mutex_);
    for (const auto& [id, one] : under_way_) {
      if (one.fetch->since >= before) break;
      older.push_back(one);
    }
  }
  for (const auto& [table, fetch] : older) {
    if (const auto alive = table.lock()) alive->over(fetch, false);
    else ended(*fetch);
  }
  return older.size();
}

void MissEngine::close() {
  decltype(reports_) gone;  // They go after the lock.
  const Lock lock(mutex_);
  closed_ = true;
  on_reports_ = nullptr;
  gone.swap(reports_);
}

}  // namespace parentfs::image
