/** Finding the libraries: in the process first, then among the libraries of the system. They stay for good. */
#include "unpack/libraries.h"

#include <dlfcn.h>

namespace parentfs::unpack {

namespace {

/** Looks functions up in one place until one is missing. */
class Finder {
 public:
  explicit Finder(void* handle) : handle_(handle) {}

  template <class Function>
  Finder& find(Function& function, const char* name) {
    if (!complete_) return *this;
    function = reinterpret_cast<Function>(::dlsym(handle_, name));
    complete_ = function != nullptr;
    return *this;
  }

  [[nodiscard]] bool is_complete() const { return complete_; }

 private:
  void* handle_;
  bool complete_ = true;
};

#define FIND(name) find(found.name, #name)

bool find_all(void* handle, Zlib& found) {
  return Finder(handle).FIND(inflateInit2_).FIND(inflate).FIND(inflateReset).FIND(inflateEnd).is_complete();
}

bool find_all(void* handle, Zstd& found) {
  return Finder(handle)
      .FIND(ZSTD_createDCtx)
      .FIND(ZSTD_freeDCtx)
      .FIND(ZSTD_DCtx_setParameter)
      .FIND(ZSTD_decompressStream)
      .FIND(ZSTD_isError)
      .is_complete();
}

bool find_all(void* handle, Lzma& found) {
  return Finder(handle).FIND(lzma_stream_decoder).FIND(lzma_code).FIND(lzma_end).is_complete();
}

#undef FIND

template <class Functions>
Found<Functions> look_for(const char* library) {
  Found<Functions> found;
  if (find_all(RTLD_DEFAULT, found.functions)) return found;
  void* handle = ::dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    found.complaint = ::dlerror();
  } else if (!find_all(handle, found.functions)) {
    found.complaint = std::string(library) + " is too old";
  }
  return found;
}

}  // namespace

const Found<Zlib>& zlib() {
  static const Found<Zlib> found = look_for<Zlib>("libz.so.1");
  return found;
}

const Found<Zstd>& zstd() {
  static const Found<Zstd> found = look_for<Zstd>("libzstd.so.1");
  return found;
}

const Found<Lzma>& lzma() {
  static const Found<Lzma> found = look_for<Lzma>("liblzma.so.5");
  return found;
}

}  // namespace parentfs::unpack
