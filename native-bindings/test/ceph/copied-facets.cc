/**
 * Ceph's libraries in an executable that has its own copy of a facet's number, as Node.js 22 and 24 have: the first regular
 * expression, inside rados_create2, is compiled all the same.
 */
#include <dlfcn.h>

#include <cstdio>
#include <locale>

#include "rbd/library.h"

int main() {
  void* const library = ::dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD);
  if (library == nullptr || ::dlsym(library, "_ZNSt5ctypeIcE2idE") == &std::ctype<char>::id) {
    std::puts("not ok - this executable has a copy of its own\n0 passed, 1 failed, 0 skipped");
    return 1;
  }
  const auto opened = parentfs::rbd::open_library();
  if (opened.library == nullptr) {
    std::printf("ok - Ceph beside copied facets # SKIP\n  skipped: %s\n0 passed, 0 failed, 1 skipped\n", opened.complaint.c_str());
    return 0;
  }
  parentfs::rbd::rados_t cluster{};
  if (opened.library->rados_create2(&cluster, "ceph", "client.nobody", 0) < 0) {
    std::puts("not ok - a cluster is described\n0 passed, 1 failed, 0 skipped");
    return 1;
  }
  opened.library->rados_shutdown(cluster);
  std::puts("ok - Ceph beside copied facets\n1 passed, 0 failed, 0 skipped");
  return 0;
}
