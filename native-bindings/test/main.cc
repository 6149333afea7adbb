/**
 * Runs every test; the last line says how many passed. With `--only TEXT` it runs those whose names begin so. With
 * `--plant FAULT` it does something wrong on purpose instead.
 */
#include <cstdio>
#include <string_view>

#include "test/suites.h"

using parentfs::test::Checks;
using parentfs::test::Test;
using parentfs::test::Tests;

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "--plant") {
    parentfs::test::plant(argv[2]);
    return 0;
  }
  const std::string_view only = argc == 3 && std::string_view(argv[1]) == "--only" ? argv[2] : "";
  int passed = 0;
  int failed = 0;
  int skipped = 0;
  for (const Tests& suite :
       {parentfs::test::wire_tests(), parentfs::test::residency_tests(), parentfs::test::crc32c_tests(),
        parentfs::test::disk_file_tests(), parentfs::test::data_file_tests(), parentfs::test::shelf_tests(), parentfs::test::file_reader_tests(), parentfs::test::faults_tests(), parentfs::test::store_threads_tests(), parentfs::test::detached_pool_tests(), parentfs::test::read_memory_tests(), parentfs::test::receiver_tests(),
        parentfs::test::range_reader_tests(), parentfs::test::serving_tests(), parentfs::test::serving_connection_tests(), parentfs::test::serving_permitted_tests(), parentfs::test::serving_permit_tests(), parentfs::test::grant_tests(), parentfs::test::unit_permits_tests(),
        parentfs::test::session_tests(), parentfs::test::session_end_tests(), parentfs::test::session_fetch_tests(), parentfs::test::session_objects_tests(), parentfs::test::inflight_table_tests(), parentfs::test::read_reports_tests(), parentfs::test::use_samples_tests(), parentfs::test::deferred_reads_tests(),
        parentfs::test::session_fuzz_tests(), parentfs::test::race_tests(), parentfs::test::fuse2_tests(),
        parentfs::test::syscalls_tests(), parentfs::test::log_tests(), parentfs::test::unpack_tests(), parentfs::test::verity_tests(), parentfs::test::verity_fuzz_tests(),
        parentfs::test::librbd_tests(), parentfs::test::librbd_connection_tests()}) {
    for (const Test& test : suite) {
      if (!std::string_view(test.name).starts_with(only)) continue;
      Checks checks;
      test.run(checks);
      (checks.failed() ? failed : checks.skipped() ? skipped : passed)++;
      std::printf("%s - %s%s\n", checks.failed() ? "not ok" : "ok", test.name, checks.skipped() ? " # SKIP" : "");
      std::fflush(stdout);
    }
  }
  std::printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
  return failed == 0 ? 0 : 1;
}
