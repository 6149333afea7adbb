/** Rules from a file, and what they do. */
#include "disk/fault-injection.h"

#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>
#include <thread>
#include <utility>

namespace parentfs::disk {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/** Between two looks at whether a stall has been ended. */
constexpr milliseconds look_pause{5};

constexpr std::array<std::pair<const char*, DiskOperation>, 4> operations{{{"read", DiskOperation::read},
                                                                           {"write", DiskOperation::write},
                                                                           {"punch", DiskOperation::punch},
                                                                           {"sync", DiskOperation::sync}}};
constexpr std::array<std::pair<const char*, int>, 4> errors{
    {{"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EROFS", EROFS}, {"ENXIO", ENXIO}}};

template <class Table, class Value>
bool look_up(const Table& table, const std::string& name, Value& value) {
  for (const auto& [known, meaning] : table) {
    if (name != known) continue;
    value = meaning;
    return true;
  }
  return false;
}

}  // namespace

std::unique_ptr<FaultInjection> FaultInjection::from_environment() {
  const char* path = std::getenv("PARENTFS_FAULTS");
  return path == nullptr || *path == '\0' ? nullptr : std::make_unique<FaultInjection>(path);
}

int FaultInjection::strike(DiskOperation operation, std::uint64_t offset, std::uint64_t length) {
  const auto begun = steady_clock::now();
  while (true) {
    {
      const Lock lock(mutex_);
      Rule* rule = find(operation, offset, length);
      if (rule == nullptr) return 0;
      if (rule->error != 0) {
        rule->spent = rule->once;
        return rule->error;
      }
      if (steady_clock::now() - begun >= rule->stall) return 0;
    }
    std::this_thread::sleep_for(look_pause);
  }
}

bool FaultInjection::concerns(DiskOperation operation, std::uint64_t offset, std::uint64_t length) {
  const Lock lock(mutex_);
  return find(operation, offset, length) != nullptr;
}

FaultInjection::Rule* FaultInjection::find(DiskOperation operation, std::uint64_t offset, std::uint64_t length) {
  refresh();
  for (Rule& rule : rules_) {
    if (rule.operation != operation || rule.spent) continue;
    // A sync has no range of its own: it is of all bytes.
    if (operation == DiskOperation::sync || (offset < rule.end && offset + length > rule.begin)) return &rule;
  }
  return nullptr;
}

void FaultInjection::refresh() {
  struct stat facts {};
  Version version{};
  if (::stat(path_.c_str(), &facts) == 0) {
    version = {.inode = facts.st_ino,
               .changed_ns = (std::int64_t{facts.st_mtim.tv_sec} * 1'000'000'000) + facts.st_mtim.tv_nsec};
  }
  if (version == version_) return;
  version_ = version;
  rules_.clear();
  std::ifstream lines(path_);
  for (std::string line; std::getline(lines, line);) {
    Rule rule{};
    if (parse(line, rule)) rules_.push_back(rule);
  }
}

bool FaultInjection::parse(const std::string& line, Rule& rule) {
  std::istringstream words(line);
  std::string operation;
  std::string what;
  if (!(words >> operation >> what) || !look_up(operations, operation, rule.operation)) return false;
  if (what == "stall") {
    std::int64_t stall_ms = 0;
    if (!(words >> stall_ms)) return false;
    rule.stall = milliseconds(stall_ms);
  } else if (!look_up(errors, what, rule.error)) {
    return false;
  }
  rule.end = std::numeric_limits<std::uint64_t>::max();
  for (std::string word; words >> word;) {
    std::uint64_t length = 0;
    if (word == "once") {
      rule.once = true;
    } else if (words >> length) {
      rule.begin = std::strtoull(word.c_str(), nullptr, 10);
      rule.end = rule.begin + length;
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace parentfs::disk
