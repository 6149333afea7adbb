/** The layout and the constants of unpack/libraries.h beside zlib.h: compiled, never run. A difference is an error of the compiler. */
#include <zlib.h>

#include <cstddef>

#include "unpack/libraries.h"

namespace {

using parentfs::unpack::Zlib;
using parentfs::unpack::ZlibStream;

#define SAME(member) static_assert(offsetof(ZlibStream, member) == offsetof(z_stream, member))
SAME(next_in);
SAME(avail_in);
SAME(next_out);
SAME(avail_out);
SAME(zalloc);
SAME(opaque);
SAME(adler);
SAME(reserved);
static_assert(sizeof(ZlibStream) == sizeof(z_stream));
static_assert(Zlib::ok == Z_OK && Zlib::stream_end == Z_STREAM_END && Zlib::finish == Z_FINISH);
static_assert(Zlib::window_bits == MAX_WBITS);

}  // namespace
