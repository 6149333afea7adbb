/**
 * A test seam: a disk that fails or stalls when a file says so, for machines whose kernel has no device-mapper.
 *
 * The environment variable PARENTFS_FAULTS names that file; without it there is no FaultInjection object, no code can make one,
 * and a data file pays one comparison with null. The file is looked at before each operation, and read again when it
 * has been replaced. A line is a rule, and the first that matches counts:
 *
 *     OPERATION ERRNO [OFFSET LENGTH] [once]          write EIO        read EIO 65536 4096        sync EIO once
 *     OPERATION stall MILLISECONDS [OFFSET LENGTH]    read stall 10000
 *
 * OPERATION is read, write, punch or sync; OFFSET and LENGTH say which bytes of any data file. A stall ends early when
 * the file is replaced. Lines that are not understood are ignored.
 */
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "mutex.h"

namespace parentfs::disk {

enum class DiskOperation { read, write, punch, sync };

class FaultInjection {
 public:
  /** Null when PARENTFS_FAULTS is not set. */
  static std::unique_ptr<FaultInjection> from_environment();
  explicit FaultInjection(std::string path) : path_(std::move(path)) {}

  /** Wait or fail, as the file says. @returns 0: go on, else the errno to fail with */
  [[nodiscard]] int strike(DiskOperation operation, std::uint64_t offset, std::uint64_t length) EXCLUDES(mutex_);
  /** Would `strike` do anything? A `once` is not used up. */
  [[nodiscard]] bool concerns(DiskOperation operation, std::uint64_t offset, std::uint64_t length) EXCLUDES(mutex_);

 private:
  struct Rule {
    DiskOperation operation;
    /** 0 for a stall. */
    int error;
    std::chrono::milliseconds stall;
    std::uint64_t begin;
    std::uint64_t end;
    bool once;
    bool spent;
  };
  /** The identity of one version of the file. */
  struct Version {
    std::uint64_t inode;
    std::int64_t changed_ns;
    bool operator==(const Version&) const = default;
  };

  static bool parse(const std::string& line, Rule& rule);
  void refresh() REQUIRES(mutex_);
  Rule* find(DiskOperation operation, std::uint64_t offset, std::uint64_t length) REQUIRES(mutex_);

  const std::string path_;
  Mutex mutex_;
  Version version_ GUARDED_BY(mutex_){};
  std::vector<Rule> rules_ GUARDED_BY(mutex_);
};

}  // namespace parentfs::disk
