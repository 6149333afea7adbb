/**
 * A connection to a cluster, a pool of it, an open image. Each ends with its last reference, on threads of the
 * cluster's own, because ending one may hang as much as making one.
 *
 * Everything but the constructors of small values blocks: call it on `CephThreads::calls`. Errors are errnos; the call
 * that gave them is named.
 */
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rbd/library.h"
#include "rbd/read-memory.h"
#include "threads/detached-pool.h"

namespace parentfs::rbd {

/** A failure: a positive errno, and the function of the library that gave it. */
struct Problem {
  int error = 0;
  const char* call = "";
};

/** The threads of one connection, and the memory that its reads share. */
struct CephThreads {
  CephThreads(unsigned calls_count, std::size_t waiting_max) : calls(calls_count, waiting_max), sends(1, waiting_max) {}
  /** For calls that block. */
  threads::DetachedPool calls;
  /** For sending reads: the library makes the sender wait while it has too much under way. */
  threads::DetachedPool sends;
  ReadMemory memory;
};

struct ClusterOptions {
  std::string cluster;
  /** As in `client.admin`. */
  std::string user;
  /** Empty: where Ceph looks by default. */
  std::string configuration_file;
  /** Options of Ceph's own, which overrule the file. */
  std::vector<std::pair<std::string, std::string>> options;
};

/** An image in a listing. */
struct NamedImage {
  std::string id;
  std::string name;
};

class Cluster {
 public:
  static std::shared_ptr<Cluster> connect(const Library& library, std::shared_ptr<CephThreads> threads,
                                          const ClusterOptions& options, Problem& problem);
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  [[nodiscard]] const Library& library() const { return library_; }
  [[nodiscard]] rados_t handle() const { return handle_; }
  [[nodiscard]] const std::shared_ptr<CephThreads>& threads() const { return threads_; }
  /** Called once when the connection has been ended; set before the last reference goes. */
  void on_ended(std::function<void()> ended) { ended_ = std::move(ended); }

 private:
  Cluster(const Library& library, std::shared_ptr<CephThreads> threads)
      : library_(library), threads_(std::move(threads)) {}

  const Library& library_;
  std::shared_ptr<CephThreads> threads_;
  rados_t handle_ = nullptr;
  std::function<void()> ended_;
};

class Pool {
 public:
  static std::shared_ptr<Pool> open(std::shared_ptr<Cluster> cluster, const std::string& name,
                                    const std::string& name_space, Problem& problem);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  [[nodiscard]] const Library& library() const { return cluster_->library(); }
  [[nodiscard]] CephThreads& threads() const { return *cluster_->threads(); }
  [[nodiscard]] const std::shared_ptr<Cluster>& cluster() const { return cluster_; }
  [[nodiscard]] rados_ioctx_t handle() const { return handle_; }
  /** Ids are never used again, names are. */
  [[nodiscard]] std::int64_t id() const { return library().rados_ioctx_get_id(handle_); }

  /** Names of objects that begin with `prefix`, without it; at most `count_max`. */
  std::vector<std::string> objects(const std::string& prefix, std::size_t count_max, Problem& problem);
  std::vector<NamedImage> images(Problem& problem);

 private:
  explicit Pool(std::shared_ptr<Cluster> cluster) : cluster_(std::move(cluster)) {}

  std::shared_ptr<Cluster> cluster_;
  rados_ioctx_t handle_ = nullptr;
};

}  // namespace parentfs::rbd
