/** The memory of the journal: a file without a name, which the supervisor holds. */
#include "librbd/answer-journal.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace parentfs::librbd {

namespace {

constexpr std::size_t journal_bytes = sizeof(AnswerJournal::Slot) * AnswerJournal::connections_max;

}  // namespace

Result<OwnedFd> AnswerJournal::make() {
  OwnedFd fd(::memfd_create("parentfs-librbd", MFD_CLOEXEC));
  if (fd.get() < 0 || ::ftruncate(fd.get(), journal_bytes) != 0) return Failure{errno};
  return fd;
}

Result<std::shared_ptr<AnswerJournal>> AnswerJournal::map(int fd) {
  struct stat facts {};
  if (::fstat(fd, &facts) != 0) return Failure{errno};
  // Shorter, its end would be a SIGBUS.
  if (facts.st_size != static_cast<off_t>(journal_bytes)) return Failure{EINVAL};
  void* memory = ::mmap(nullptr, journal_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return Failure{errno};
  return std::shared_ptr<AnswerJournal>(new AnswerJournal(static_cast<Slot*>(memory)));
}

AnswerJournal::~AnswerJournal() { ::munmap(slots_, journal_bytes); }

AnswerJournal::Slot& AnswerJournal::begin(std::uint32_t slot, std::uint64_t connection) const {
  Slot& own = slots_[slot];
  if (own.connection == connection) return own;
  // The number comes last: a worker that dies before has begun nothing.
  std::atomic_ref(own.count).store(0, std::memory_order_release);
  own.registered = 0;
  std::atomic_ref(own.connection).store(connection, std::memory_order_release);
  return own;
}

}  // namespace parentfs::librbd
