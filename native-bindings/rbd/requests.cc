/** Requests on their way, one struct a kind: made here, owned by the library until its completion comes. */
#include "rbd/requests.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

namespace parentfs::rbd {

namespace {

/** Bytes of an answer that lists snapshots: an image has 510 at most, and the ids of the pool's own share of them. */
constexpr std::size_t snapshot_answer_bytes = 64UL * 1024;

bool is_zero(std::span<const std::byte> bytes) {
  if (bytes.empty() || bytes[0] != std::byte{0}) return false;
  // Compared with itself, one byte on: all are the first one.
  return std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

/** Is any piece between two multiples of `unit` in [offset, offset + bytes.size()) all zeros? */
bool has_zero_piece(std::span<const std::byte> bytes, std::uint64_t offset, std::uint64_t unit) {
  for (std::uint64_t at = 0; at < bytes.size();) {
    const std::uint64_t piece = std::min<std::uint64_t>(bytes.size() - at, unit - (offset + at) % unit);
    if (is_zero(bytes.subspan(at, piece))) return true;
    at += piece;
  }
  return false;
}

/** The place into which the library reads: the target where its reader stays, else memory of the connection. */
class Place {
 public:
  /** @param memory lives longer */
  Place(ReadMemory& memory, std::shared_ptr<Target> target, std::size_t length)
      : memory_(memory), target_(std::move(target)), bytes_(target_->staying()) {
    if (!bytes_.empty()) return;
    own_ = memory_.take(length);
    bytes_ = {own_.get(), length};
  }
  ~Place() {
    if (own_) memory_.give_back(std::move(own_), bytes_.size());
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  [[nodiscard]] char* chars() { return reinterpret_cast<char*>(bytes_.data()); }
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
  /** All has been read: it is in the target from now on. */
  void filled() {
    if (own_) target_->put(bytes_);
  }

 private:
  ReadMemory& memory_;
  const std::shared_ptr<Target> target_;
  ReadMemory::Bytes own_;
  std::span<std::byte> bytes_;
};

struct ImageRequest {
  ImageRequest(std::shared_ptr<Image> of, std::shared_ptr<Target> target, std::size_t length)
      : image(std::move(of)), place(image->pool()->threads().memory, std::move(target), length) {}

  const std::shared_ptr<Image> image;
  Place place;  // Ends before the image: that may be what keeps the memory.
  std::uint64_t offset = 0;
  std::function<void(ImageRead)> answer;

  void send() {
    const Library& library = image->library();
    rbd_completion_t completion = nullptr;
    int result = library.rbd_aio_create_completion(this, &ImageRequest::completed, &completion);
    if (result < 0) return finish(result);
    result = library.rbd_aio_read(image->handle(), offset, place.bytes().size(), place.chars(), completion);
    if (result == 0) return;
    library.rbd_aio_release(completion);
    finish(result);
  }

  static void completed(void* completion, void* argument) {
    auto* request = static_cast<ImageRequest*>(argument);
    const Library& library = request->image->library();
    const ssize_t result = library.rbd_aio_get_return_value(completion);
    library.rbd_aio_release(completion);
    request->finish(result);
  }

  /** Ends this object. */
  void finish(ssize_t result) {
    const std::unique_ptr<ImageRequest> self(this);
    // Fewer bytes than asked: the image has become shorter.
    if (result >= 0 && static_cast<std::size_t>(result) != place.bytes().size()) result = -ESTALE;
    if (result < 0) {
      answer({.problem = {.error = static_cast<int>(-result), .call = "rbd_aio_read"}});
      return;
    }
    place.filled();
    answer({.problem = {}, .has_zeros = has_zero_piece(place.bytes(), offset, image->unit_bytes())});
  }
};

/** The common part of requests to plain objects. */
struct ObjectRequest {
  ObjectRequest(std::shared_ptr<Pool> of, std::string object) : pool(std::move(of)), name(std::move(object)) {}
  virtual ~ObjectRequest() = default;
  ObjectRequest(const ObjectRequest&) = delete;
  ObjectRequest& operator=(const ObjectRequest&) = delete;

  std::shared_ptr<Pool> pool;
  std::string name;

  /** @returns 0, or a negative errno when no completion will come */
  virtual int call(rados_completion_t completion) = 0;
  virtual void finish(int result, std::uint64_t version) = 0;

  void send() {
    const Library& library = pool->library();
    rados_completion_t completion = nullptr;
    int result = library.rados_aio_create_completion2(this, &ObjectRequest::completed, &completion);
    if (result < 0) return end(result, 0);
    result = call(completion);
    if (result == 0) return;
    library.rados_aio_release(completion);
    end(result, 0);
  }

  static void completed(void* completion, void* argument) {
    auto* request = static_cast<ObjectRequest*>(argument);
    const Library& library = request->pool->library();
    const int result = library.rados_aio_get_return_value(completion);
    const std::uint64_t version = library.rados_aio_get_version(completion);
    library.rados_aio_release(completion);
    request->end(result, version);
  }

  void end(int result, std::uint64_t version) {
    const std::unique_ptr<ObjectRequest> self(this);
    finish(result, version);
  }

  static Problem problem_of(int result, const char* name) {
    return result < 0 ? Problem{.error = -result, .call = name} : Problem{};
  }
};

struct ObjectRead final : ObjectRequest {
  ObjectRead(std::shared_ptr<Pool> of, std::string object, std::shared_ptr<Target> target, std::size_t length)
      : ObjectRequest(std::move(of), std::move(object)), place(pool->threads().memory, std::move(target), length) {}
  std::uint64_t version = 0;
  std::uint64_t offset = 0;
  Place place;
  std::size_t bytes_read = 0;
  int read_result = 0;
  std::function<void(Problem)> answer;

  int call(rados_completion_t completion) override {
    const Library& library = pool->library();
    rados_read_op_t operation = library.rados_create_read_op();
    library.rados_read_op_assert_version(operation, version);
    library.rados_read_op_read(operation, offset, place.bytes().size(), place.chars(), &bytes_read, &read_result);
    const int result = library.rados_aio_read_op_operate(operation, pool->handle(), completion, name.c_str(), 0);
    library.rados_release_read_op(operation);
    return result;
  }

  void finish(int result, std::uint64_t /*version*/) override {
    if (result >= 0 && read_result < 0) result = read_result;
    if (result >= 0 && bytes_read != place.bytes().size()) result = -ESTALE;
    if (result >= 0) place.filled();
    answer(problem_of(result, "rados_aio_read_op_operate"));
  }
};

struct ObjectStat final : ObjectRequest {
  using ObjectRequest::ObjectRequest;
  std::uint64_t size_bytes = 0;
  std::time_t modified = 0;
  std::function<void(ObjectFacts)> answer;

  int call(rados_completion_t completion) override {
    return pool->library().rados_aio_stat(pool->handle(), name.c_str(), completion, &size_bytes, &modified);
  }

  void finish(int result, std::uint64_t version) override {
    answer({.problem = problem_of(result, "rados_aio_stat"),
            .size_bytes = size_bytes,
            .modified_ms = static_cast<std::int64_t>(modified) * 1000,
            .version = version});
  }
};

/**
 * The header of an image: u64 newest, u32 count, u64 ids. Source: Ceph src/cls/rbd/cls_rbd.cc, get_snapcontext;
 * src/common/snap_types.cc, SnapContext::encode.
 */
struct SnapshotQuestion final : ObjectRequest {
  using ObjectRequest::ObjectRequest;
  std::vector<char> buffer = std::vector<char>(snapshot_answer_bytes);
  std::function<void(SnapshotIds)> answer;

  int call(rados_completion_t completion) override {
    return pool->library().rados_aio_exec(pool->handle(), name.c_str(), completion, "rbd", "get_snapcontext", "", 0,
                                          buffer.data(), buffer.size());
  }

  void finish(int result, std::uint64_t /*version*/) override {
    SnapshotIds found{.problem = problem_of(result, "rados_aio_exec"), .ids = {}};
    std::uint32_t count = 0;
    constexpr std::size_t head_bytes = sizeof(std::uint64_t) + sizeof count;
    const auto length = static_cast<std::size_t>(std::max(result, 0));
    if (result >= 0 && length >= head_bytes) std::memcpy(&count, buffer.data() + sizeof(std::uint64_t), sizeof count);
    if (result >= 0 && length != head_bytes + count * sizeof(std::uint64_t)) {
      found.problem = {.error = EBADMSG, .call = "rados_aio_exec"};
    }
    if (found.problem.error == 0) {
      found.ids.resize(count);
      std::memcpy(found.ids.data(), buffer.data() + head_bytes, count * sizeof(std::uint64_t));
    }
    answer(std::move(found));
  }
};

/** Hand a request to the thread that sends. */
template <class Request>
bool submit(CephThreads& threads, std::unique_ptr<Request> owned) {
  Request* request = owned.release();
  if (threads.sends.submit([request] { request->send(); })) return true;
  delete request;
  return false;
}

}  // namespace

void Target::put(std::span<const std::byte> bytes) {
  const Lock lock(mutex_);
  // Not std::ranges::copy, which goes byte by byte. Both are empty when the reader has left.
  if (!bytes_.empty()) std::memcpy(bytes_.data(), bytes.data(), bytes_.size());
}

void Target::leave() {
  const Lock lock(mutex_);
  bytes_ = {};
}

bool read_image(const std::shared_ptr<Image>& image, std::uint64_t offset, std::size_t length,
                std::shared_ptr<Target> target, std::function<void(ImageRead)> answer) {
  auto request = std::make_unique<ImageRequest>(image, std::move(target), length);
  request->offset = offset;
  request->answer = std::move(answer);
  return submit(image->pool()->threads(), std::move(request));
}

bool read_object(const std::shared_ptr<Pool>& pool, const std::string& name, std::uint64_t version,
                 std::uint64_t offset, std::size_t length, std::shared_ptr<Target> target,
                 std::function<void(Problem)> answer) {
  auto request = std::make_unique<ObjectRead>(pool, name, std::move(target), length);
  request->version = version;
  request->offset = offset;
  request->answer = std::move(answer);
  return submit(pool->threads(), std::move(request));
}

bool stat_object(const std::shared_ptr<Pool>& pool, const std::string& name, std::function<void(ObjectFacts)> answer) {
  auto request = std::make_unique<ObjectStat>(pool, name);
  request->answer = std::move(answer);
  return submit(pool->threads(), std::move(request));
}

bool snapshot_ids(const std::shared_ptr<Pool>& pool, const std::string& image_id,
                  std::function<void(SnapshotIds)> answer) {
  auto request = std::make_unique<SnapshotQuestion>(pool, "rbd_header." + image_id);
  request->answer = std::move(answer);
  return submit(pool->threads(), std::move(request));
}

}  // namespace parentfs::rbd
