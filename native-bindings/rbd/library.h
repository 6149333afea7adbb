/**
 * librados and librbd as far as we call them, opened at run time: nothing of Ceph is needed to build the addon or to load it.
 *
 * The declarations are our own, written down from the documented C interfaces, which only ever grow.
 * Source: Ceph src/include/rados/librados.h, src/include/rbd/librbd.h.
 */
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <string>
#include <sys/types.h>

namespace parentfs::rbd {

using rados_t = void*;
using rados_ioctx_t = void*;
using rados_completion_t = void*;
using rados_read_op_t = void*;
using rados_write_op_t = void*;
using rados_omap_iter_t = void*;
using NoticeCallback = void (*)(void* argument, std::uint64_t notice, std::uint64_t handle, std::uint64_t notifier,
                                void* data, std::size_t length);
using WatchErrorCallback = void (*)(void* argument, std::uint64_t handle, int error);
using rados_list_ctx_t = void*;
using rbd_image_t = void*;
using rbd_completion_t = void*;
using Callback = void (*)(void* completion, void* argument);

/** rbd_image_spec_t. */
struct ImageSpec {
  char* id;
  char* name;
};

/** rbd_snap_info_t. */
struct SnapshotInfo {
  std::uint64_t id;
  std::uint64_t size;
  const char* name;
};

/** rbd_image_info_t. */
struct ImageInfo {
  std::uint64_t size;
  std::uint64_t object_size;
  std::uint64_t objects;
  int order;
  char prefix[24];
  std::int64_t parent_pool;
  char parent_name[96];
};

/**
 * The functions, under their own names. All return 0 or more, or a negative errno, unless their type says otherwise.
 */
struct Library {
  int (*rados_create2)(rados_t*, const char* cluster, const char* name, std::uint64_t flags);
  int (*rados_conf_read_file)(rados_t, const char* path);
  int (*rados_conf_parse_env)(rados_t, const char* variable);
  int (*rados_conf_set)(rados_t, const char* option, const char* value);
  int (*rados_connect)(rados_t);
  void (*rados_shutdown)(rados_t);
  int (*rados_ioctx_create)(rados_t, const char* pool, rados_ioctx_t*);
  void (*rados_ioctx_set_namespace)(rados_ioctx_t, const char* name);
  std::int64_t (*rados_ioctx_get_id)(rados_ioctx_t);
  void (*rados_ioctx_destroy)(rados_ioctx_t);
  int (*rados_nobjects_list_open)(rados_ioctx_t, rados_list_ctx_t*);
  int (*rados_nobjects_list_next)(rados_list_ctx_t, const char** entry, const char** key, const char** name_space);
  void (*rados_nobjects_list_close)(rados_list_ctx_t);
  int (*rados_aio_create_completion2)(void* argument, Callback complete, rados_completion_t*);
  int (*rados_aio_get_return_value)(rados_completion_t);
  std::uint64_t (*rados_aio_get_version)(rados_completion_t);
  void (*rados_aio_release)(rados_completion_t);
  int (*rados_aio_stat)(rados_ioctx_t, const char* object, rados_completion_t, std::uint64_t* size, std::time_t* mtime);
  int (*rados_aio_exec)(rados_ioctx_t, const char* object, rados_completion_t, const char* object_class,
                        const char* method, const char* in, std::size_t in_bytes, char* out, std::size_t out_bytes);
  rados_read_op_t (*rados_create_read_op)();
  void (*rados_release_read_op)(rados_read_op_t);
  void (*rados_read_op_assert_version)(rados_read_op_t, std::uint64_t version);
  void (*rados_read_op_read)(rados_read_op_t, std::uint64_t offset, std::size_t length, char* buffer,
                             std::size_t* bytes_read, int* result);
  int (*rados_aio_read_op_operate)(rados_read_op_t, rados_ioctx_t, rados_completion_t, const char* object, int flags);
  int (*rados_read_op_operate)(rados_read_op_t, rados_ioctx_t, const char* object, int flags);
  void (*rados_read_op_omap_get_vals2)(rados_read_op_t, const char* start_after, const char* prefix,
                                       std::uint64_t count_max, rados_omap_iter_t*, unsigned char* has_more,
                                       int* result);
  int (*rados_omap_get_next)(rados_omap_iter_t, char** key, char** value, std::size_t* length);
  void (*rados_omap_get_end)(rados_omap_iter_t);
  rados_write_op_t (*rados_create_write_op)();
  void (*rados_release_write_op)(rados_write_op_t);
  void (*rados_write_op_create)(rados_write_op_t, int exclusive, const char* category);
  void (*rados_write_op_omap_set)(rados_write_op_t, char const* const* keys, char const* const* values,
                                  const std::size_t* lengths, std::size_t count);
  void (*rados_write_op_omap_rm_keys)(rados_write_op_t, char const* const* keys, std::size_t count);
  int (*rados_write_op_operate)(rados_write_op_t, rados_ioctx_t, const char* object, std::time_t* mtime, int flags);
  int (*rados_watch2)(rados_ioctx_t, const char* object, std::uint64_t* handle, NoticeCallback, WatchErrorCallback,
                      void* argument);
  int (*rados_unwatch2)(rados_ioctx_t, std::uint64_t handle);
  int (*rados_watch_flush)(rados_t);
  int (*rados_notify2)(rados_ioctx_t, const char* object, const char* data, int length, std::uint64_t ms_max,
                       char** replies, std::size_t* reply_bytes);
  int (*rados_notify_ack)(rados_ioctx_t, const char* object, std::uint64_t notice, std::uint64_t handle,
                          const char* data, int length);

  int (*rbd_list2)(rados_ioctx_t, ImageSpec* images, std::size_t* count);
  void (*rbd_image_spec_list_cleanup)(ImageSpec* images, std::size_t count);
  int (*rbd_open_by_id_read_only)(rados_ioctx_t, const char* id, rbd_image_t*, const char* snapshot);
  int (*rbd_open_read_only)(rados_ioctx_t, const char* name, rbd_image_t*, const char* snapshot);
  int (*rbd_close)(rbd_image_t);
  int (*rbd_get_id)(rbd_image_t, char* id, std::size_t bytes);
  int (*rbd_get_size)(rbd_image_t, std::uint64_t* bytes);
  int (*rbd_get_features)(rbd_image_t, std::uint64_t* features);
  int (*rbd_get_name)(rbd_image_t, char* name, std::size_t* bytes);
  int (*rbd_get_block_name_prefix)(rbd_image_t, char* prefix, std::size_t bytes);
  std::int64_t (*rbd_get_data_pool_id)(rbd_image_t);
  int (*rbd_get_stripe_count)(rbd_image_t, std::uint64_t* count);
  int (*rbd_stat)(rbd_image_t, ImageInfo*, std::size_t bytes);
  int (*rbd_get_stripe_unit)(rbd_image_t, std::uint64_t* bytes);
  int (*rbd_get_overlap)(rbd_image_t, std::uint64_t* bytes);
  int (*rbd_get_modify_timestamp)(rbd_image_t, timespec*);
  int (*rbd_snap_list)(rbd_image_t, SnapshotInfo* snapshots, int* count);
  void (*rbd_snap_list_end)(SnapshotInfo* snapshots);
  int (*rbd_snap_get_namespace_type)(rbd_image_t, std::uint64_t snapshot, int* type);
  int (*rbd_snap_get_timestamp)(rbd_image_t, std::uint64_t snapshot, timespec*);
  int (*rbd_snap_is_protected)(rbd_image_t, const char* snapshot, int* is_protected);
  int (*rbd_snap_set_by_id)(rbd_image_t, std::uint64_t snapshot);
  int (*rbd_diff_iterate2)(rbd_image_t, const char* from, std::uint64_t offset, std::uint64_t length,
                           std::uint8_t with_parent, std::uint8_t whole_object,
                           int (*found)(std::uint64_t offset, std::size_t length, int exists, void* argument),
                           void* argument);
  int (*rbd_aio_create_completion)(void* argument, Callback complete, rbd_completion_t*);
  int (*rbd_aio_read)(rbd_image_t, std::uint64_t offset, std::size_t length, char* buffer, rbd_completion_t);
  ssize_t (*rbd_aio_get_return_value)(rbd_completion_t);
  void (*rbd_aio_release)(rbd_completion_t);
};

/** The outcome of opening: the functions, or the missing library and the reason. */
struct Opened {
  const Library* library;
  /** The dynamic linker's words; empty when all went well. */
  std::string complaint;
};

/** Open both libraries, once in the life of the process; what failed is tried again. */
Opened open_library();

}  // namespace parentfs::rbd
