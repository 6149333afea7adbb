/** Connections and pools. */
#include "rbd/cluster.h"

#include <cerrno>
#include <string_view>

namespace parentfs::rbd {

std::shared_ptr<Cluster> Cluster::connect(const Library& library, std::shared_ptr<CephThreads> threads,
                                          const ClusterOptions& options, Problem& problem) {
  const auto end = [](Cluster* cluster) {
    const auto own_threads = cluster->threads();
    own_threads->calls.submit_end([cluster, own_threads] { delete cluster; });
  };
  std::shared_ptr<Cluster> made(new Cluster(library, std::move(threads)), end);
  const auto failed = [&problem](int result, const char* call) {
    if (result < 0) problem = {.error = -result, .call = call};
    return result < 0;
  };
  const char* file = options.configuration_file.empty() ? nullptr : options.configuration_file.c_str();
  if (failed(library.rados_create2(&made->handle_, options.cluster.c_str(), options.user.c_str(), 0), "rados_create2") ||
      failed(library.rados_conf_read_file(made->handle_, file), "rados_conf_read_file") ||
      failed(library.rados_conf_parse_env(made->handle_, nullptr), "rados_conf_parse_env")) {
    return nullptr;
  }
  for (const auto& [name, value] : options.options) {
    if (failed(library.rados_conf_set(made->handle_, name.c_str(), value.c_str()), "rados_conf_set")) return nullptr;
  }
  if (failed(library.rados_connect(made->handle_), "rados_connect")) return nullptr;
  return made;
}

Cluster::~Cluster() {
  if (handle_ != nullptr) library_.rados_shutdown(handle_);
  if (ended_) ended_();
}

std::shared_ptr<Pool> Pool::open(std::shared_ptr<Cluster> cluster, const std::string& name,
                                 const std::string& name_space, Problem& problem) {
  const auto end = [](Pool* pool) {
    const auto threads = pool->cluster()->threads();
    threads->calls.submit_end([pool, threads] { delete pool; });
  };
  std::shared_ptr<Pool> made(new Pool(std::move(cluster)), end);
  const int result = made->library().rados_ioctx_create(made->cluster_->handle(), name.c_str(), &made->handle_);
  if (result < 0) {
    problem = {.error = -result, .call = "rados_ioctx_create"};
    return nullptr;
  }
  made->library().rados_ioctx_set_namespace(made->handle_, name_space.c_str());
  return made;
}

Pool::~Pool() {
  if (handle_ != nullptr) library().rados_ioctx_destroy(handle_);
}

std::vector<std::string> Pool::objects(const std::string& prefix, std::size_t count_max, Problem& problem) {
  std::vector<std::string> names;
  rados_list_ctx_t list = nullptr;
  int result = library().rados_nobjects_list_open(handle_, &list);
  if (result == 0) {
    const char* entry = nullptr;
    while (names.size() < count_max) {
      result = library().rados_nobjects_list_next(list, &entry, nullptr, nullptr);
      if (result < 0) break;
      const std::string_view name(entry);
      if (name.starts_with(prefix)) names.emplace_back(name.substr(prefix.size()));
    }
    library().rados_nobjects_list_close(list);
  }
  if (result < 0 && result != -ENOENT) problem = {.error = -result, .call = "rados_nobjects_list"};
  return names;
}

std::vector<NamedImage> Pool::images(Problem& problem) {
  std::vector<ImageSpec> specs(64);
  std::size_t count = specs.size();
  int result = 0;
  while ((result = library().rbd_list2(handle_, specs.data(), &count)) == -ERANGE) {
    // Some for those that are made meanwhile.
    count += 64;
    specs.resize(count);
  }
  if (result < 0) {
    problem = {.error = -result, .call = "rbd_list2"};
    return {};
  }
  std::vector<NamedImage> images;
  images.reserve(count);
  for (std::size_t k = 0; k < count; k++) images.push_back({.id = specs[k].id, .name = specs[k].name});
  library().rbd_image_spec_list_cleanup(specs.data(), count);
  return images;
}

}  // namespace parentfs::rbd
