/**
 * Asynchronous requests to the cluster: reads of images and objects, and small questions about objects.
 *
 * Each holds what the library needs of it until the library is done, however long that takes; `answer` is called once,
 * on a thread of the library or of ours, with 0 or an errno.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "mutex.h"
#include "rbd/image.h"

namespace parentfs::rbd {

/** The place of a read's bytes, until the reader leaves: from then on it is not touched any more. */
class Target {
 public:
  enum class Reader : bool { may_leave, stays };

  explicit Target(std::span<std::byte> bytes, Reader reader = Reader::may_leave)
      : staying_(reader == Reader::stays ? bytes : std::span<std::byte>{}), bytes_(bytes) {}
  /** The place itself, of a reader that stays until the answer: it is read into, without a copy. Else empty. */
  [[nodiscard]] std::span<std::byte> staying() const { return staying_; }
  /** Put exactly as many bytes as belong here; does nothing when the reader has left. */
  void put(std::span<const std::byte> bytes) EXCLUDES(mutex_);
  void leave() EXCLUDES(mutex_);

 private:
  const std::span<std::byte> staying_;
  Mutex mutex_;
  std::span<std::byte> bytes_ GUARDED_BY(mutex_);
};

/** The findings of a read of an image besides bytes. */
struct ImageRead {
  Problem problem;
  /** Some piece of an object that was asked for is all zeros: perhaps because its object has gone. */
  bool has_zeros = false;
};

struct ObjectFacts {
  Problem problem;
  std::uint64_t size_bytes = 0;
  std::int64_t modified_ms = 0;
  std::uint64_t version = 0;
};

struct SnapshotIds {
  Problem problem;
  std::vector<std::uint64_t> ids;
};

/** @returns false when too much waits to be sent; `answer` is not called then */
bool read_image(const std::shared_ptr<Image>& image, std::uint64_t offset, std::size_t length,
                std::shared_ptr<Target> target, std::function<void(ImageRead)> answer);

/** The version is compared with the object's own by the cluster: EOVERFLOW or ERANGE when it is another. */
bool read_object(const std::shared_ptr<Pool>& pool, const std::string& name, std::uint64_t version,
                 std::uint64_t offset, std::size_t length, std::shared_ptr<Target> target,
                 std::function<void(Problem)> answer);

bool stat_object(const std::shared_ptr<Pool>& pool, const std::string& name, std::function<void(ObjectFacts)> answer);

/** The ids of the snapshots that the image with this id has now. */
bool snapshot_ids(const std::shared_ptr<Pool>& pool, const std::string& image_id,
                  std::function<void(SnapshotIds)> answer);

}  // namespace parentfs::rbd
