/** Bytes that were sent natively, by the member that asked for them. */
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "mutex.h"

namespace parentfs::serving {

using ByteCount = std::shared_ptr<std::atomic<std::uint64_t>>;

class MemberBytes {
 public:
  explicit MemberBytes(std::size_t most) : most_(most) {}

  /** The count of a member. Those that nobody adds to any more make room. @returns null: there are too many */
  [[nodiscard]] ByteCount count_of(const std::string& member) EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    if (const auto found = counts_.find(member); found != counts_.end()) return found->second;
    if (counts_.size() >= most_) std::erase_if(counts_, [](const auto& each) { return each.second.use_count() == 1; });
    if (counts_.size() >= most_) return nullptr;
    return counts_.emplace(member, std::make_shared<std::atomic<std::uint64_t>>(0)).first->second;
  }

  [[nodiscard]] std::uint64_t of(const std::string& member) const EXCLUDES(mutex_) {
    const Lock lock(mutex_);
    const auto found = counts_.find(member);
    return found == counts_.end() ? 0 : found->second->load(std::memory_order_relaxed);
  }

 private:
  const std::size_t most_;
  mutable Mutex mutex_;
  std::unordered_map<std::string, ByteCount> counts_ GUARDED_BY(mutex_);
};

}  // namespace parentfs::serving
