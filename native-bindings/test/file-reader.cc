/** image/: files of a directory as origins, that change, fail or hang while native threads read them. */
#include "image/file-reader.h"

#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <functional>
#include <future>
#include <optional>

#include "test/images.h"
#include "test/suites.h"

namespace parentfs::test {

namespace file_reader_suite {
namespace {

using image::FileReader;
using image::FileThreads;

constexpr std::size_t mebibyte = std::size_t{1024} * 1024;

void write_at(const std::string& path, std::uint64_t offset, std::span<const std::byte> bytes, int flags = 0) {
  const OwnedFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | flags, 0600));
  if (::pwrite(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset)) < 0) std::abort();
}

OwnedFd open_to_read(const std::string& path) { return OwnedFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)); }

/** A read, and its outcome when it comes. */
struct Read {
  explicit Read(std::size_t length) : bytes(length) {}
  std::vector<std::byte> bytes;
  std::promise<bool> done;

  [[nodiscard]] bool start(FileReader& reader, std::uint64_t offset) {
    return reader.read(offset, bytes, [this](bool right) { done.set_value(right); });
  }
  /** Nothing when it does not come. */
  std::optional<bool> outcome() {
    auto future = done.get_future();
    if (future.wait_for(std::chrono::seconds(30)) != std::future_status::ready) return std::nullopt;
    return future.get();
  }
};

/** Did one read come back right? */
bool reads(Checks& t, FileReader& reader, std::uint64_t offset, std::size_t length) {
  Read read(length);
  CHECK(read.start(reader, offset));
  const auto outcome = read.outcome();
  CHECK(outcome);
  const bool right = outcome.value_or(false);
  CHECK(!right || is_image(read.bytes, offset));
  return right;
}

/** A file with the bytes of an image, old enough for its times to tell of a change. */
struct File {
  explicit File(std::size_t length) : path(directory.file("image")) {
    write_at(path, 0, image_bytes(0, length));
    fd = open_to_read(path);
    const std::string validator = image::validator_of(fd.get());
    // Until another file of the same file system has a later time: from then on a change is one of the validator.
    const std::string clock = directory.file("clock");
    const auto time_of = [](const std::string& text) { return std::stoull(text.substr(text.rfind('-') + 1)); };
    until([&] {
      write_at(clock, 0, image_bytes(0, 1), O_TRUNC);
      return time_of(image::validator_of(open_to_read(clock).get())) > time_of(validator);
    });
    reader = std::make_shared<FileReader>(threads, OwnedFd(::dup(fd.get())), validator);
  }

  Directory directory;
  std::string path;
  OwnedFd fd;
  std::shared_ptr<FileThreads> threads = std::make_shared<FileThreads>();
  std::shared_ptr<FileReader> reader;
};

void right_bytes(Checks& t) {
  const File file(3 * mebibyte + 5);
  CHECK(reads(t, *file.reader, 0, 1));
  CHECK(reads(t, *file.reader, 12'345, mebibyte));
  CHECK(reads(t, *file.reader, 3 * mebibyte, 5));
  CHECK(!reads(t, *file.reader, 3 * mebibyte, 6));
  CHECK(!reads(t, *file.reader, 4 * mebibyte, 1));
  FileReader other(file.threads, OwnedFd(::dup(file.fd.get())), image::validator_of(file.fd.get()) + '0');
  CHECK(!reads(t, other, 0, 1));
}

void other_versions(Checks& t) {
  const auto refuses = [&t](auto change) {
    File file(2 * mebibyte);
    CHECK(reads(t, *file.reader, mebibyte, mebibyte));
    change(file);
    CHECK(!reads(t, *file.reader, 0, 1));
  };
  refuses([](File& file) { write_at(file.path, mebibyte, image_bytes(0, 1)); });
  refuses([](File& file) { write_at(file.path, 2 * mebibyte, image_bytes(0, 1)); });
  refuses([&](File& file) { CHECK(::truncate(file.path.c_str(), mebibyte) == 0); });
  refuses([&](File& file) {
    const std::string next = file.directory.file("next");
    write_at(next, 0, image_bytes(0, 2 * mebibyte));
    CHECK(::rename(next.c_str(), file.path.c_str()) == 0);
  });
  refuses([&](File& file) { CHECK(::unlink(file.path.c_str()) == 0); });
}

/** A reader that gets half of a file at a time, and calls `at` before and after each of its two reads, which are 0 to 3. */
std::shared_ptr<FileReader> reader_in_halves(const File& file, std::size_t length, std::function<void(int)> at) {
  const auto calls = std::make_shared<int>(0);
  auto read_half = [length, calls, at = std::move(at)](int fd, std::uint64_t offset, std::span<std::byte> target, int flags) {
    at((*calls)++);
    const ssize_t got = syscalls::read_some(fd, offset, target.first(std::min(target.size(), length / 2)), flags);
    at((*calls)++);
    return got;
  };
  return std::make_shared<FileReader>(file.threads, OwnedFd(::dup(file.fd.get())), image::validator_of(file.fd.get()),
                                      std::move(read_half));
}

void change_while_read(Checks& t) {
  constexpr std::size_t length = mebibyte;
  constexpr int never = -1;
  for (const int moment : {never, 0, 1, 2, 3}) {
    for (const bool truncates : {false, true}) {
      const File file(length);
      const auto reader = reader_in_halves(file, length, [&](int at) {
        if (at != moment) return;
        if (truncates) CHECK(::truncate(file.path.c_str(), length - 4096) == 0);
        else write_at(file.path, length - 1, std::vector<std::byte>(1));
      });
      CHECK(reads(t, *reader, 0, length) == (moment == never));
      CHECK(reads(t, *file.reader, 0, 1) == (moment == never));
    }
  }
}

void error(Checks& t) {
  // A file whose first page cannot be read.
  OwnedFd fd = open_to_read("/proc/self/mem");
  const std::string validator = image::validator_of(fd.get());
  std::byte one{};
  CHECK(::pread(fd.get(), &one, 1, 0) < 0 && errno == EIO);
  const auto threads = std::make_shared<FileThreads>();
  FileReader reader(threads, std::move(fd), validator);
  CHECK(!reads(t, reader, 0, 1));
  FileReader nothing(threads, OwnedFd(), "");
  CHECK(!reads(t, nothing, 0, 1));
}

/** All threads of an origin, kept as a file system that hangs keeps them. */
class Hang {
 public:
  Hang(Checks& t, FileThreads& threads) {
    for (std::uint32_t k = 0; k < FileThreads::threads_max; k++) {
      CHECK(threads.pool.submit([hangs = hangs_] { hangs->wait(true); }));
    }
    CHECK(until([&] { return threads.pool.running() == FileThreads::threads_max; }));
  }
  ~Hang() { end(); }
  void end() {
    hangs_->store(false);
    hangs_->notify_all();
  }

 private:
  std::shared_ptr<std::atomic<bool>> hangs_ = std::make_shared<std::atomic<bool>>(true);
};

void hung_threads(Checks& t) {
  const File file(mebibyte);
  Hang hang(t, *file.threads);
  std::vector<std::unique_ptr<Read>> waiting;
  for (std::size_t k = 0; k < FileThreads::waiting_max; k++) {
    waiting.push_back(std::make_unique<Read>(1000));
    CHECK(waiting.back()->start(*file.reader, k * 1000));
  }
  Read more(1000);
  CHECK(!more.start(*file.reader, 0));
  // Another origin has threads of its own.
  const File other(mebibyte);
  CHECK(reads(t, *other.reader, 0, mebibyte));
  hang.end();
  for (std::size_t k = 0; k < FileThreads::waiting_max; k++) {
    CHECK(waiting[k]->outcome() == true);
    CHECK(is_image(waiting[k]->bytes, k * 1000));
  }
  CHECK(reads(t, *file.reader, 0, 1));
}

void close_under_way(Checks& t) {
  File file(mebibyte);
  OwnedFd own(::dup(file.fd.get()));
  const int number = own.get();
  const auto is_open = [number] { return ::fcntl(number, F_GETFD) >= 0; };
  auto reader = std::make_shared<FileReader>(file.threads, std::move(own), image::validator_of(file.fd.get()));
  Hang hang(t, *file.threads);
  Read read(1000);
  Read late(1000);
  CHECK(read.start(*reader, 4096));
  reader->close();
  reader->close();
  CHECK(!late.start(*reader, 0));
  CHECK(is_open());
  // Nor do the reader and its threads have to outlive the read.
  reader.reset();
  file.reader.reset();
  file.threads.reset();
  hang.end();
  CHECK(read.outcome() == true && is_image(read.bytes, 4096));
  CHECK(until([&] { return !is_open(); }));
}

}  // namespace
}  // namespace file_reader_suite

Tests file_reader_tests() {
  using namespace file_reader_suite;
  return {
      {"a file reader fills all of a target, or says that it did not", right_bytes},
      {"a file that was written, cut, made longer, replaced or removed is not read", other_versions},
      {"a file that changes while it is read gives no bytes of another version", change_while_read},
      {"a read that the file system fails is not right", error},
      {"hung threads of an origin refuse more reads than may wait, and keep no other origin", hung_threads},
      {"a closed file reader ends its read under way, and then its descriptor", close_under_way},
  };
}

}  // namespace parentfs::test
