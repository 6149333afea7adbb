/** The residency table: anonymous memory, mapped and unmapped. */
#include "residency/table.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>

namespace parentfs::residency {

Result<std::shared_ptr<Table>> Table::map(std::uint64_t objects) {
  if (objects > objects_max) return Failure{EFBIG};
  const std::size_t bytes = std::max<std::size_t>(objects * sizeof(Entry), sizeof(Entry));
  // NORESERVE: most of the table of a large image is never touched, and must not count as promised memory.
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return Failure{errno};
  return std::shared_ptr<Table>(new Table(static_cast<Entry*>(memory), objects, bytes));
}

Table::~Table() { ::munmap(entries_, mapped_bytes_); }

}  // namespace parentfs::residency
