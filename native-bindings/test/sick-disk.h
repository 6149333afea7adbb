/**
 * A data file on a disk that does what a test writes into a file of rules.
 */
#pragma once

#include <cstdio>
#include <fstream>
#include <memory>
#include <string>

#include "image/data-file.h"
#include "test/harness.h"
#include "test/images.h"

namespace parentfs::test {

struct SickDisk {
  SickDisk(std::uint64_t size_bytes, std::uint32_t block_bytes)
      : file(image::DataFile::open(directory.file("data"), size_bytes, block_bytes, &faults).value()) {}

  /** From now on these rules hold, and no others. */
  void say(const std::string& rules) const {
    std::ofstream(rules_path + ".new") << rules << '\n';
    std::rename((rules_path + ".new").c_str(), rules_path.c_str());
  }

  /** Write block `k` of object 0 and set its bit. @returns the errno of the write */
  [[nodiscard]] int promote(std::uint64_t k) const {
    const auto& geometry = file->geometry();
    const int error = file->write_blocks(geometry.offset_of_block(k), image_bytes(geometry.offset_of_block(k), 4096)).error();
    if (error == 0) file->table()->resident(0).fetch_or(std::uint64_t{1} << k);
    return error;
  }

  Directory directory;
  std::string rules_path = directory.file("rules");
  disk::FaultInjection faults{rules_path};
  std::shared_ptr<image::DataFile> file;
};

}  // namespace parentfs::test
