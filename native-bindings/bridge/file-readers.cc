/** The methods of FileReaders, in the order of src/native/file-readers.ts. */
#include "bridge/file-readers.h"

#include <fcntl.h>

#include <limits>
#include <utility>

#include "bridge/arguments.h"
#include "bridge/classes.h"
#include "bridge/origin-reader.h"

namespace parentfs::bridge {

Napi::Function FileReaders::define(Napi::Env env) {
  return DefineClass(env, "FileReaders",
                     {InstanceMethod("open", &FileReaders::open), InstanceMethod("close", &FileReaders::close)});
}

FileReaders::FileReaders(const Napi::CallbackInfo& info)
    : ObjectWrap(info), threads_(made_by_us<std::shared_ptr<image::FileThreads>>(info)) {}

Napi::Value FileReaders::open(const Napi::CallbackInfo& info) {
  const int fd = static_cast<int>(small_number(info[0], "fd", std::numeric_limits<std::int32_t>::max()));
  std::string validator = text(info[1], "validator");
  OwnedFd own(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (own.get() < 0) return info.Env().Null();
  return source_value(info.Env(),
                      std::make_shared<image::FileReader>(threads_, std::move(own), std::move(validator)));
}

void FileReaders::close(const Napi::CallbackInfo& info) {
  const auto reader = std::dynamic_pointer_cast<image::FileReader>(source_of(info[0]));
  if (!reader) throw Napi::TypeError::New(info.Env(), "reader must be one of files");
  reader->close();
}

}  // namespace parentfs::bridge
