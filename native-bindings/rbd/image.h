/**
 * An image: what it is and which snapshots it has, and one opened for reading at one of them.
 *
 * Everything blocks but `read` in requests.h.
 */
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rbd/cluster.h"

namespace parentfs::rbd {

struct Snapshot {
  std::uint64_t id;
  std::uint64_t size_bytes;
  std::string name;
  bool is_protected;
  std::int64_t created_ms;
};

/** The present state of an image. */
struct ImageDescription {
  /** Ids are never used again, names are. Empty for an image of the first format, which has none. */
  std::string id;
  std::uint64_t size_bytes = 0;
  std::int64_t modified_ms = 0;
  /** Those that users made; not those that only keep clones alive. */
  std::vector<Snapshot> snapshots;
};

ImageDescription describe(const std::shared_ptr<Pool>& pool, const std::string& name, Problem& problem);

/** The way in which an image lies in objects. */
struct Layout {
  /** The image's. */
  std::string name;
  /** Objects are named by it, a dot and their number. */
  std::string prefix;
  std::int64_t data_pool_id = 0;
  std::uint64_t object_bytes = 0;
  /** 1: no striping. */
  std::uint64_t stripe_count = 0;
  bool is_migrating = false;
};

/** A stretch that is data; what lies between two is a hole. */
struct DataExtent {
  std::uint64_t offset;
  std::uint64_t end;
};

class Image {
 public:
  /** @param snapshot 0 for the image as it is now */
  static std::shared_ptr<Image> open(const std::shared_ptr<Pool>& pool, const std::string& id, std::uint64_t snapshot,
                                     Problem& problem);
  ~Image();
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;

  [[nodiscard]] const Library& library() const { return pool_->library(); }
  [[nodiscard]] const std::shared_ptr<Pool>& pool() const { return pool_; }
  [[nodiscard]] rbd_image_t handle() const { return handle_; }
  [[nodiscard]] const std::string& id() const { return id_; }
  /** 0 for the image as it is now. */
  [[nodiscard]] std::uint64_t snapshot() const { return snapshot_; }
  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }
  /** No stretch between two multiples of this lies in two objects. */
  [[nodiscard]] std::uint64_t unit_bytes() const { return unit_bytes_; }
  /** Is it a clone, whose missing objects are its parent's? */
  [[nodiscard]] bool has_parent() const { return has_parent_; }
  /** Can it tell quickly what exists? */
  [[nodiscard]] bool has_object_map() const { return has_object_map_; }

  /**
   * The data in [offset, offset + length), whole objects, in ascending order; neighbours are one.
   * @param with_parent also what a clone has from its parent
   */
  std::vector<DataExtent> data(std::uint64_t offset, std::uint64_t length, Problem& problem, bool with_parent = true);
  [[nodiscard]] Layout layout(Problem& problem) const;

 private:
  Image(std::shared_ptr<Pool> pool, std::string id, std::uint64_t snapshot)
      : pool_(std::move(pool)), id_(std::move(id)), snapshot_(snapshot) {}

  std::shared_ptr<Pool> pool_;
  const std::string id_;
  const std::uint64_t snapshot_;
  rbd_image_t handle_ = nullptr;
  std::uint64_t size_bytes_ = 0;
  std::uint64_t unit_bytes_ = 0;
  bool has_parent_ = false;
  bool has_object_map_ = false;
};

}  // namespace parentfs::rbd
