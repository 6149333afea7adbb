/**
 * Every suite there is, in the order of the rooms.
 */
#pragma once

#include "test/harness.h"

namespace parentfs::test {

Tests wire_tests();
Tests residency_tests();
Tests crc32c_tests();
Tests disk_file_tests();
Tests data_file_tests();
Tests shelf_tests();
Tests file_reader_tests();
Tests faults_tests();
Tests store_threads_tests();
Tests detached_pool_tests();
Tests read_memory_tests();
Tests receiver_tests();
Tests range_reader_tests();
Tests serving_tests();
Tests serving_connection_tests();
Tests serving_permitted_tests();
Tests serving_permit_tests();
Tests grant_tests();
Tests unit_permits_tests();
Tests session_tests();
Tests session_end_tests();
Tests session_fetch_tests();
Tests session_objects_tests();
Tests inflight_table_tests();
Tests read_reports_tests();
Tests use_samples_tests();
Tests deferred_reads_tests();
Tests session_fuzz_tests();
Tests race_tests();
Tests fuse2_tests();
Tests syscalls_tests();
Tests log_tests();
Tests unpack_tests();
Tests verity_tests();
Tests verity_fuzz_tests();
Tests librbd_tests();
Tests librbd_connection_tests();

/** Do what the sanitizer that this was built with must report: `address`, `undefined` or `thread`. */
void plant(const std::string& fault);

}  // namespace parentfs::test
