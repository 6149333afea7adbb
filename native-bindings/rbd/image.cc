/** Images and their snapshots. */
#include "rbd/image.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>

namespace parentfs::rbd {

namespace {

/** Longest id with its end. Source: Ceph src/librbd/internal.cc, RBD_MAX_IMAGE_ID_LENGTH is 14; more is harmless. */
constexpr std::size_t id_bytes_max = 128;
/** The kind of snapshot that users make. Source: src/include/rbd/librbd.h, RBD_SNAP_NAMESPACE_TYPE_USER. */
constexpr int user_snapshot = 0;
/** Source: src/include/rbd/features.h, RBD_FEATURE_FAST_DIFF. */
constexpr std::uint64_t fast_diff = 1ULL << 4U;

/** Source: src/include/rbd/features.h, RBD_FEATURE_MIGRATING. */
constexpr std::uint64_t migrating = 1ULL << 11U;
/** Longest name or prefix with its end; a longer one is an error of the library. */
constexpr std::size_t name_bytes_max = 4096;

std::int64_t milliseconds(const timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * 1000 + time.tv_nsec / 1'000'000;
}

/** Remembers the first call that failed. */
class Calls {
 public:
  explicit Calls(Problem& problem) : problem_(problem) {}
  bool ok(int result, const char* call) {
    if (result < 0 && problem_.error == 0) problem_ = {.error = -result, .call = call};
    return problem_.error == 0;
  }

 private:
  Problem& problem_;
};

std::vector<Snapshot> snapshots_of(const Library& library, rbd_image_t image, Calls& calls) {
  std::vector<SnapshotInfo> found(16);
  int count = static_cast<int>(found.size());
  int result = 0;
  while ((result = library.rbd_snap_list(image, found.data(), &count)) == -ERANGE) {
    found.resize(static_cast<std::size_t>(count) + 16);
    count = static_cast<int>(found.size());
  }
  if (!calls.ok(result, "rbd_snap_list")) return {};
  std::vector<Snapshot> snapshots;
  for (int k = 0; k < result; k++) {
    const SnapshotInfo& info = found[static_cast<std::size_t>(k)];
    int type = user_snapshot;
    int is_protected = 0;
    timespec created{};
    if (!calls.ok(library.rbd_snap_get_namespace_type(image, info.id, &type), "rbd_snap_get_namespace_type")) break;
    if (type != user_snapshot) continue;
    if (!calls.ok(library.rbd_snap_is_protected(image, info.name, &is_protected), "rbd_snap_is_protected") ||
        !calls.ok(library.rbd_snap_get_timestamp(image, info.id, &created), "rbd_snap_get_timestamp")) {
      break;
    }
    snapshots.push_back({.id = info.id,
                         .size_bytes = info.size,
                         .name = info.name,
                         .is_protected = is_protected != 0,
                         .created_ms = milliseconds(created)});
  }
  if (result > 0) library.rbd_snap_list_end(found.data());
  return snapshots;
}

}  // namespace

ImageDescription describe(const std::shared_ptr<Pool>& pool, const std::string& name, Problem& problem) {
  const Library& library = pool->library();
  ImageDescription description;
  Calls calls(problem);
  rbd_image_t image = nullptr;
  if (!calls.ok(library.rbd_open_read_only(pool->handle(), name.c_str(), &image, nullptr), "rbd_open")) return {};
  std::array<char, id_bytes_max> id{};
  const int result = library.rbd_get_id(image, id.data(), id.size());
  timespec modified{};
  // EINVAL: an image of the first format.
  if (result != -EINVAL && calls.ok(result, "rbd_get_id") &&
      calls.ok(library.rbd_get_size(image, &description.size_bytes), "rbd_get_size") &&
      calls.ok(library.rbd_get_modify_timestamp(image, &modified), "rbd_get_modify_timestamp")) {
    description.id = id.data();
    description.modified_ms = milliseconds(modified);
    description.snapshots = snapshots_of(library, image, calls);
  }
  library.rbd_close(image);
  return description;
}

std::shared_ptr<Image> Image::open(const std::shared_ptr<Pool>& pool, const std::string& id, std::uint64_t snapshot,
                                   Problem& problem) {
  const auto end = [](Image* image) {
    const auto threads = image->pool()->cluster()->threads();
    threads->calls.submit_end([image, threads] { delete image; });
  };
  std::shared_ptr<Image> made(new Image(pool, id, snapshot), end);
  const Library& library = pool->library();
  Calls calls(problem);
  if (!calls.ok(library.rbd_open_by_id_read_only(pool->handle(), id.c_str(), &made->handle_, nullptr), "rbd_open")) {
    made->handle_ = nullptr;
    return nullptr;
  }
  std::uint64_t features = 0;
  std::uint64_t overlap = 0;
  if ((snapshot != 0 && !calls.ok(library.rbd_snap_set_by_id(made->handle_, snapshot), "rbd_snap_set_by_id")) ||
      !calls.ok(library.rbd_get_size(made->handle_, &made->size_bytes_), "rbd_get_size") ||
      !calls.ok(library.rbd_get_stripe_unit(made->handle_, &made->unit_bytes_), "rbd_get_stripe_unit") ||
      !calls.ok(library.rbd_get_features(made->handle_, &features), "rbd_get_features") ||
      !calls.ok(library.rbd_get_overlap(made->handle_, &overlap), "rbd_get_overlap")) {
    return nullptr;
  }
  made->has_parent_ = overlap > 0;
  made->has_object_map_ = (features & fast_diff) != 0;
  return made;
}

Image::~Image() {
  if (handle_ != nullptr) library().rbd_close(handle_);
}

Layout Image::layout(Problem& problem) const {
  Layout layout;
  Calls calls(problem);
  std::array<char, name_bytes_max> text{};
  std::size_t bytes = text.size();
  std::uint64_t features = 0;
  ImageInfo info{};
  if (!calls.ok(library().rbd_get_name(handle_, text.data(), &bytes), "rbd_get_name")) return layout;
  layout.name = text.data();
  text = {};
  if (!calls.ok(library().rbd_get_block_name_prefix(handle_, text.data(), text.size()), "rbd_get_block_name_prefix") ||
      !calls.ok(library().rbd_get_stripe_count(handle_, &layout.stripe_count), "rbd_get_stripe_count") ||
      !calls.ok(library().rbd_get_features(handle_, &features), "rbd_get_features") ||
      !calls.ok(library().rbd_stat(handle_, &info, sizeof info), "rbd_stat")) {
    return layout;
  }
  layout.prefix = text.data();
  layout.data_pool_id = library().rbd_get_data_pool_id(handle_);
  layout.object_bytes = info.object_size;
  layout.is_migrating = (features & migrating) != 0;
  return layout;
}

std::vector<DataExtent> Image::data(std::uint64_t offset, std::uint64_t length, Problem& problem, bool with_parent) {
  std::vector<DataExtent> extents;
  const auto found = [](std::uint64_t at, std::size_t bytes, int exists, void* argument) {
    if (exists != 0) static_cast<std::vector<DataExtent>*>(argument)->push_back({.offset = at, .end = at + bytes});
    return 0;
  };
  Calls calls(problem);
  calls.ok(library().rbd_diff_iterate2(handle_, nullptr, offset, length, with_parent ? 1 : 0, 1, found, &extents), "rbd_diff_iterate2");
  if (problem.error != 0) return {};
  // With striping they come object by object.
  std::ranges::sort(extents, {}, &DataExtent::offset);
  std::vector<DataExtent> joined;
  for (const DataExtent& extent : extents) {
    if (!joined.empty() && extent.offset <= joined.back().end) {
      joined.back().end = std::max(joined.back().end, extent.end);
    } else {
      joined.push_back(extent);
    }
  }
  return joined;
}

}  // namespace parentfs::rbd
