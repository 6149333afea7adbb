/** Operations on the omap of an object, and watches of it. */
#include "rbd/omap.h"

#include <cerrno>
#include <utility>

namespace parentfs::rbd {

namespace {

/** LIBRADOS_CREATE_IDEMPOTENT. */
constexpr int create_or_keep = 0;

/** Takes the entries out of an answer. */
std::vector<OmapEntry> entries_of(const Library& library, rados_omap_iter_t entries, int& result) {
  std::vector<OmapEntry> found;
  for (;;) {
    char* key = nullptr;
    char* value = nullptr;
    std::size_t length = 0;
    result = library.rados_omap_get_next(entries, &key, &value, &length);
    if (result < 0 || key == nullptr) return found;
    found.push_back({.key = key, .value = std::string(value, length)});
  }
}

/** One write to an object: `describe` says what it is. */
template <class Describe>
void write_object(Pool& pool, const std::string& object, Describe describe, Problem& problem) {
  const Library& library = pool.library();
  rados_write_op_t operation = library.rados_create_write_op();
  describe(library, operation);
  const int result = library.rados_write_op_operate(operation, pool.handle(), object.c_str(), nullptr, 0);
  library.rados_release_write_op(operation);
  if (result < 0) problem = {.error = -result, .call = "rados_write_op_operate"};
}

}  // namespace

std::vector<OmapEntry> omap_entries(Pool& pool, const std::string& object, const std::string& prefix,
                                    std::size_t count_max, Problem& problem) {
  const Library& library = pool.library();
  rados_omap_iter_t entries = nullptr;
  unsigned char has_more = 0;
  int read_result = 0;
  rados_read_op_t operation = library.rados_create_read_op();
  library.rados_read_op_omap_get_vals2(operation, "", prefix.c_str(), count_max, &entries, &has_more, &read_result);
  int result = library.rados_read_op_operate(operation, pool.handle(), object.c_str(), 0);
  if (result >= 0) result = read_result;
  std::vector<OmapEntry> found;
  if (result >= 0 && entries != nullptr) found = entries_of(library, entries, result);
  if (entries != nullptr) library.rados_omap_get_end(entries);
  library.rados_release_read_op(operation);
  if (result < 0 && result != -ENOENT) problem = {.error = -result, .call = "rados_read_op_operate"};
  return found;
}

void set_omap_entry(Pool& pool, const std::string& object, const OmapEntry& entry, Problem& problem) {
  const char* key = entry.key.c_str();
  const char* value = entry.value.data();
  const std::size_t length = entry.value.size();
  const auto describe = [&](const Library& library, rados_write_op_t operation) {
    library.rados_write_op_create(operation, create_or_keep, nullptr);
    library.rados_write_op_omap_set(operation, &key, &value, &length, 1);
  };
  write_object(pool, object, describe, problem);
}

void remove_omap_entry(Pool& pool, const std::string& object, const std::string& name, Problem& problem) {
  const char* key = name.c_str();
  const auto describe = [&](const Library& library, rados_write_op_t operation) {
    library.rados_write_op_omap_rm_keys(operation, &key, 1);
  };
  write_object(pool, object, describe, problem);
  if (problem.error == ENOENT) problem = {};
}

void notify_watchers(Pool& pool, const std::string& object, std::uint64_t ms_max, Problem& problem) {
  const int result =
      pool.library().rados_notify2(pool.handle(), object.c_str(), "", 0, ms_max, nullptr, nullptr);
  if (result < 0 && result != -ETIMEDOUT) problem = {.error = -result, .call = "rados_notify2"};
}

std::shared_ptr<Watch> Watch::open(std::shared_ptr<Pool> pool, const std::string& object,
                                   std::function<void(int error)> noticed, Problem& problem) {
  const auto end = [](Watch* watch) {
    const auto threads = watch->pool()->cluster()->threads();
    threads->calls.submit_end([watch, threads] { delete watch; });
  };
  std::shared_ptr<Watch> made(new Watch(std::move(pool), object, std::move(noticed)), end);
  const int result = made->pool_->library().rados_watch2(made->pool_->handle(), object.c_str(), &made->handle_,
                                                         &Watch::on_notice, &Watch::on_error, made.get());
  if (result < 0) {
    problem = {.error = -result, .call = "rados_watch2"};
    return nullptr;
  }
  made->is_open_ = true;
  return made;
}

Watch::~Watch() {
  if (!is_open_) return;
  const Library& library = pool_->library();
  library.rados_unwatch2(pool_->handle(), handle_);
  // Callbacks under way are over after it.
  library.rados_watch_flush(pool_->cluster()->handle());
}

void Watch::on_notice(void* argument, std::uint64_t notice, std::uint64_t handle, std::uint64_t /*notifier*/,
                      void* /*data*/, std::size_t /*length*/) {
  auto* watch = static_cast<Watch*>(argument);
  watch->pool_->library().rados_notify_ack(watch->pool_->handle(), watch->object_.c_str(), notice, handle, nullptr, 0);
  watch->noticed_(0);
}

void Watch::on_error(void* argument, std::uint64_t /*handle*/, int error) {
  static_cast<Watch*>(argument)->noticed_(error < 0 ? -error : EIO);
}

}  // namespace parentfs::rbd
