/** Decoding and encoding, field by field: nothing in a frame is aligned. */
#include "librbd/frames.h"

#include <algorithm>
#include <cstring>

#include "wire/cursor.h"

namespace parentfs::librbd {

namespace {

/** As the protocol has it on this little-endian machine. */
struct [[gnu::packed]] Head {
  std::uint8_t version;
  std::uint8_t compatible;
  std::uint32_t length;
  std::uint16_t type;
  std::uint64_t sequence;
};
static_assert(sizeof(Head) == head_bytes + preamble_bytes);

/** Takes numbers and strings; after one that is not whole, nothing more. */
class Fields {
 public:
  explicit Fields(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <class Number>
  Number number() {
    wire::Cursor cursor(bytes_);
    const auto taken = cursor.take<Number>();
    if (!taken) {
      fail();
      return 0;
    }
    bytes_ = bytes_.subspan(sizeof(Number));
    return *taken;
  }

  std::string_view text() {
    const auto length = number<std::uint32_t>();
    if (length > bytes_.size()) {
      fail();
      return {};
    }
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data()), length);
    bytes_ = bytes_.subspan(length);
    return text;
  }

  [[nodiscard]] bool failed() const { return failed_; }

 private:
  void fail() {
    failed_ = true;
    bytes_ = {};
  }

  std::span<const std::byte> bytes_;
  bool failed_ = false;
};

}  // namespace

Found first_frame(std::span<const std::byte> stream, Frame& frame) {
  if (stream.size() < head_bytes) return Found::partial;
  std::uint32_t length = 0;
  std::memcpy(&length, &stream[2], sizeof length);
  if (length < preamble_bytes || length > frame_bytes_max - head_bytes) return Found::broken;
  if (stream.size() < head_bytes + length) return Found::partial;
  Head head{};
  std::memcpy(&head, stream.data(), sizeof head);
  frame = {.version = head.version,
           .type = head.type,
           .sequence = head.sequence,
           .payload = stream.subspan(sizeof head, length - preamble_bytes),
           .bytes = head_bytes + length};
  return Found::whole;
}

std::optional<ReadAsk> read_ask(const Frame& frame) {
  Fields fields(frame.payload);
  (void)fields.number<std::uint64_t>();  // The offset and the length, which are 0: it is the whole object.
  (void)fields.number<std::uint64_t>();
  ReadAsk ask{};
  ask.pool_id = fields.number<std::uint64_t>();
  ask.snapshot_id = fields.number<std::uint64_t>();
  ask.object = fields.text();
  ask.name_space = fields.text();
  if (frame.version >= 2) ask.object_bytes = fields.number<std::uint64_t>();
  if (fields.failed()) return std::nullopt;
  return ask;
}

bool says_version(const Frame& frame) {
  Fields fields(frame.payload);
  return !fields.text().empty() && !fields.failed();
}

std::size_t write_answer(std::span<std::byte> target, FrameType type, std::uint64_t sequence, std::string_view path) {
  const bool has_path = type == FrameType::path;
  const std::size_t path_bytes = has_path ? std::min(path.size(), path_bytes_max) : 0;
  const std::size_t length = preamble_bytes + (has_path ? sizeof(std::uint32_t) + path_bytes : 0);
  const Head head{.version = 2,
                  .compatible = 1,
                  .length = static_cast<std::uint32_t>(length),
                  .type = static_cast<std::uint16_t>(type),
                  .sequence = sequence};
  std::memcpy(target.data(), &head, sizeof head);
  if (has_path) {
    const auto count = static_cast<std::uint32_t>(path_bytes);
    std::memcpy(&target[sizeof head], &count, sizeof count);
    if (path_bytes > 0) std::memcpy(&target[sizeof head + sizeof count], path.data(), path_bytes);
  }
  return head_bytes + length;
}

}  // namespace parentfs::librbd
