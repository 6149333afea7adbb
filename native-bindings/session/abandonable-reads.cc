/** Adding, claiming, and waiting for the last. */
#include "session/abandonable-reads.h"

#include <utility>

namespace parentfs::session {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

}  // namespace

std::shared_ptr<AbandonableReads::Entry> AbandonableReads::add(DeferredRead read, std::span<const std::byte> request) {
  auto entry = std::make_shared<Entry>(std::move(read), request);
  const Lock lock(mutex_);
  entry->place_ = entries_.insert(entries_.end(), entry);
  waiting_.store(entries_.size(), std::memory_order_relaxed);
  return entry;
}

void AbandonableReads::done(const Entry& entry) {
  const Lock lock(mutex_);
  entries_.erase(entry.place_);
  waiting_.store(entries_.size(), std::memory_order_relaxed);
  changed_.notify_all();  // Under the mutex: a drain destroys this object.
}

AbandonableReads::Entries AbandonableReads::claim_older(milliseconds age) {
  Entries older;
  const auto before = steady_clock::now() - age;
  const Lock lock(mutex_);
  for (const auto& entry : entries_) {
    if (entry->since_ >= before) break;
    if (entry->claim()) older.push_back(entry);
  }
  return older;
}

void AbandonableReads::drain(milliseconds patience) {
  const auto end = steady_clock::now() + patience;
  const Lock lock(mutex_);
  while (!entries_.empty()) {
    const auto left = std::chrono::ceil<milliseconds>(end - steady_clock::now());
    if (left > milliseconds(0)) {
      changed_.wait_for(mutex_, left);
      continue;
    }
    std::erase_if(entries_, [](const auto& entry) { return entry->claim(); });
    // The others are being answered, which waits for no disk.
    if (!entries_.empty()) changed_.wait(mutex_);
  }
}

}  // namespace parentfs::session
