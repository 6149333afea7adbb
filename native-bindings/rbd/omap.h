/**
 * The omap of an object: small values by key, and the notices that clients send to those that watch the object.
 *
 * All functions block: call them on `CephThreads::calls`. Notices come on threads of the library.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mutex.h"
#include "rbd/cluster.h"

namespace parentfs::rbd {

struct OmapEntry {
  std::string key;
  std::string value;
};

/** The entries whose keys begin with `prefix`, at most `count_max`; none where there is no such object. */
std::vector<OmapEntry> omap_entries(Pool& pool, const std::string& object, const std::string& prefix,
                                    std::size_t count_max, Problem& problem);

/** Set one entry; the object is made where there is none. */
void set_omap_entry(Pool& pool, const std::string& object, const OmapEntry& entry, Problem& problem);

/** Remove one entry, if there is one. */
void remove_omap_entry(Pool& pool, const std::string& object, const std::string& key, Problem& problem);

/** Tell all that watch an object; waits for them no longer than `ms_max`. A watcher that is late is no failure. */
void notify_watchers(Pool& pool, const std::string& object, std::uint64_t ms_max, Problem& problem);

/**
 * A watch of an object. It ends with its last reference, on a thread of the pool's calls, and its callback is not called any
 * more then.
 */
class Watch {
 public:
  /** @param noticed called for each notice, and with an errno when the watch has ended by itself */
  static std::shared_ptr<Watch> open(std::shared_ptr<Pool> pool, const std::string& object,
                                     std::function<void(int error)> noticed, Problem& problem);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  [[nodiscard]] const std::shared_ptr<Pool>& pool() const { return pool_; }

 private:
  Watch(std::shared_ptr<Pool> pool, std::string object, std::function<void(int error)> noticed)
      : pool_(std::move(pool)), object_(std::move(object)), noticed_(std::move(noticed)) {}
  static void on_notice(void* argument, std::uint64_t notice, std::uint64_t handle, std::uint64_t notifier, void* data,
                        std::size_t length);
  static void on_error(void* argument, std::uint64_t handle, int error);

  std::shared_ptr<Pool> pool_;
  std::string object_;
  std::function<void(int error)> noticed_;
  std::uint64_t handle_ = 0;
  bool is_open_ = false;
};

}  // namespace parentfs::rbd
