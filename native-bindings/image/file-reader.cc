/** Reads of a file, and the comparison of its versions. */
#include "image/file-reader.h"

#include <sys/stat.h>

#include <cerrno>
#include <utility>


namespace parentfs::image {

namespace {

/** As Node's bigint of it. */
std::string nanoseconds(const timespec& time) {
  return std::to_string(std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec);
}

}  // namespace

struct FileReader::File {
  OwnedFd fd;
  std::string validator;
  ReadSome read_some;

  /** @returns whether the whole target has bytes of this version */
  [[nodiscard]] bool read(std::uint64_t offset, std::span<std::byte> target) const {
    if (validator_of(fd.get()) != validator) return false;
    while (!target.empty()) {
      const ssize_t got = read_some(fd.get(), offset, target, 0);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return false;
      offset += static_cast<std::uint64_t>(got);
      target = target.subspan(static_cast<std::size_t>(got));
    }
    return validator_of(fd.get()) == validator;
  }
};

FileReader::FileReader(std::shared_ptr<FileThreads> threads, OwnedFd fd, std::string validator, ReadSome read_some)
    : threads_(std::move(threads)),
      file_(std::make_shared<const File>(
          File{.fd = std::move(fd), .validator = std::move(validator), .read_some = std::move(read_some)})) {}

bool FileReader::read(std::uint64_t offset, std::span<std::byte> target, Done done) {
  std::shared_ptr<const File> file;
  {
    const Lock lock(mutex_);
    file = file_;
  }
  if (!file) return false;
  return threads_->pool.submit(
      [file, offset, target, done = std::move(done)] { done(file->read(offset, target)); });
}

void FileReader::close() {
  std::shared_ptr<const File> file;  // Closed without the lock: that may take its time.
  const Lock lock(mutex_);
  file.swap(file_);
}

std::string validator_of(int fd) {
  struct stat facts {};
  if (::fstat(fd, &facts) != 0) return {};
  const auto number = [](auto value) { return std::to_string(static_cast<std::int64_t>(value)); };
  return number(facts.st_dev) + '-' + number(facts.st_ino) + '-' + number(facts.st_size) + '-' +
         nanoseconds(facts.st_mtim) + '-' + nanoseconds(facts.st_ctim);
}

}  // namespace parentfs::image
