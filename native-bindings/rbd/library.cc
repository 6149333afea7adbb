/** Opening the libraries: both stay for good, since their threads may outlive whoever used them. */
#include "rbd/library.h"

#include <dlfcn.h>

#include <cstring>
#include <locale>

#include "mutex.h"

namespace parentfs::rbd {

namespace {

/**
 * DEEPBIND: without it libceph-common's calls of OpenSSL bind to the OpenSSL inside the node executable. AddressSanitizer cannot
 * live with it, and what runs under that has no OpenSSL of its own. musl has no DEEPBIND: there node and Ceph have to share OpenSSL.
 */
#if defined(__SANITIZE_ADDRESS__) || !defined(RTLD_DEEPBIND)
constexpr int open_flags = RTLD_NOW | RTLD_LOCAL;
#else
constexpr int open_flags = RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND;
#endif

/**
 * The facets of std::locale that Ceph's libraries look up by themselves. An executable may have a copy of a facet's number, made by
 * a copy relocation, as Node.js 22 and 24 have of the first; libstdc++ then numbers the copy. Ceph, bound by DEEPBIND to the number
 * inside libstdc++, which nobody has set, would throw std::bad_cast at its first regular expression: rados_create2 would end the
 * process.
 */
constexpr const char* facets_of_ceph[] = {"_ZNSt5ctypeIcE2idE", "_ZNSt7codecvtIDic11__mbstate_tE2idE"};

void set_facet_numbers() {
  static_assert(sizeof(std::locale::id) == sizeof(std::size_t), "a number and nothing else");
  void* const library = ::dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD);
  if (library == nullptr) return;
  // Facets are numbered when the first locale is made.
  std::locale::classic();
  for (const char* name : facets_of_ceph) {
    const void* const numbered = ::dlsym(RTLD_DEFAULT, name);
    void* const inner = ::dlsym(library, name);
    if (numbered != nullptr && inner != nullptr) std::memmove(inner, numbered, sizeof(std::size_t));
  }
  ::dlclose(library);
}

/** Looks functions up until one is missing. */
class Finder {
 public:
  explicit Finder(const char* name) : handle_(::dlopen(name, open_flags)) {
    if (handle_ == nullptr) complaint_ = ::dlerror();
  }

  template <class Function>
  void find(Function& function, const char* name) {
    if (!complaint_.empty()) return;
    function = reinterpret_cast<Function>(::dlsym(handle_, name));
    if (function == nullptr) complaint_ = ::dlerror();
  }

  [[nodiscard]] const std::string& complaint() const { return complaint_; }

 private:
  void* handle_;
  std::string complaint_;
};

#define FIND(name) finder.find(library.name, #name)

std::string find_rados(Library& library) {
  Finder finder("librados.so.2");
  FIND(rados_create2);
  FIND(rados_conf_read_file);
  FIND(rados_conf_parse_env);
  FIND(rados_conf_set);
  FIND(rados_connect);
  FIND(rados_shutdown);
  FIND(rados_ioctx_create);
  FIND(rados_ioctx_set_namespace);
  FIND(rados_ioctx_get_id);
  FIND(rados_ioctx_destroy);
  FIND(rados_nobjects_list_open);
  FIND(rados_nobjects_list_next);
  FIND(rados_nobjects_list_close);
  FIND(rados_aio_create_completion2);
  FIND(rados_aio_get_return_value);
  FIND(rados_aio_get_version);
  FIND(rados_aio_release);
  FIND(rados_aio_stat);
  FIND(rados_aio_exec);
  FIND(rados_create_read_op);
  FIND(rados_release_read_op);
  FIND(rados_read_op_assert_version);
  FIND(rados_read_op_read);
  FIND(rados_aio_read_op_operate);
  FIND(rados_read_op_operate);
  FIND(rados_read_op_omap_get_vals2);
  FIND(rados_omap_get_next);
  FIND(rados_omap_get_end);
  FIND(rados_create_write_op);
  FIND(rados_release_write_op);
  FIND(rados_write_op_create);
  FIND(rados_write_op_omap_set);
  FIND(rados_write_op_omap_rm_keys);
  FIND(rados_write_op_operate);
  FIND(rados_watch2);
  FIND(rados_unwatch2);
  FIND(rados_watch_flush);
  FIND(rados_notify2);
  FIND(rados_notify_ack);
  return finder.complaint();
}

std::string find_rbd(Library& library) {
  Finder finder("librbd.so.1");
  FIND(rbd_list2);
  FIND(rbd_image_spec_list_cleanup);
  FIND(rbd_open_by_id_read_only);
  FIND(rbd_open_read_only);
  FIND(rbd_close);
  FIND(rbd_get_id);
  FIND(rbd_get_size);
  FIND(rbd_get_features);
  FIND(rbd_get_name);
  FIND(rbd_get_block_name_prefix);
  FIND(rbd_get_data_pool_id);
  FIND(rbd_get_stripe_count);
  FIND(rbd_stat);
  FIND(rbd_get_stripe_unit);
  FIND(rbd_get_overlap);
  FIND(rbd_get_modify_timestamp);
  FIND(rbd_snap_list);
  FIND(rbd_snap_list_end);
  FIND(rbd_snap_get_namespace_type);
  FIND(rbd_snap_get_timestamp);
  FIND(rbd_snap_is_protected);
  FIND(rbd_snap_set_by_id);
  FIND(rbd_diff_iterate2);
  FIND(rbd_aio_create_completion);
  FIND(rbd_aio_read);
  FIND(rbd_aio_get_return_value);
  FIND(rbd_aio_release);
  return finder.complaint();
}

#undef FIND

}  // namespace

Opened open_library() {
  static Mutex mutex;
  static Library library{};
  static bool is_open = false;
  const Lock lock(mutex);
  if (!is_open) {
    set_facet_numbers();
    std::string complaint = find_rados(library);
    if (complaint.empty()) complaint = find_rbd(library);
    if (!complaint.empty()) return {.library = nullptr, .complaint = complaint};
    is_open = true;
  }
  return {.library = &library, .complaint = {}};
}

}  // namespace parentfs::rbd
