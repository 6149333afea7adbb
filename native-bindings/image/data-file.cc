/** Data files: reads with and without patience, landing, verification. */
#include "image/data-file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "disk/crc32c.h"
#include "disk/aligned-buffer.h"
#include "syscalls/files.h"

namespace parentfs::image {

namespace {

/** Every byte equals the one 16 before it, and the first 16 are zero. */
bool is_zero(std::span<const std::byte> bytes) {
  constexpr std::size_t step = 16;
  const auto zero = [](std::byte byte) { return byte == std::byte{0}; };
  if (bytes.size() <= step) return std::ranges::all_of(bytes, zero);
  if (!std::ranges::all_of(bytes.first(step), zero)) return false;
  return std::memcmp(bytes.data(), bytes.data() + step, bytes.size() - step) == 0;
}

/**
 * May an object be written past the page cache? disk::Pages of the range that came into it meanwhile are dropped when
 * the write has ended, but not a dirty folio: that would keep its zeros. So no folio may reach into another object,
 * whose writers hold another lock. Source: Linux mm/filemap.c, kiocb_invalidate_post_direct_write.
 */
bool may_pass_page_cache(const residency::Geometry& geometry) {
  static const long page_bytes = ::sysconf(_SC_PAGESIZE);
  const std::uint64_t object_bytes = std::uint64_t{geometry.block_bytes()} * residency::blocks_per_object;
  return page_bytes == disk::AlignedBuffer::page_bytes && object_bytes % stretch_bytes == 0;
}

}  // namespace

Result<std::shared_ptr<DataFile>> DataFile::open(const std::string& path, std::uint64_t size_bytes,
                                                 std::uint32_t block_bytes, disk::FaultInjection* faults,
                                                 disk::InflightReads* reads, std::shared_ptr<MissEngine> misses) {
  if (!residency::Geometry::accepts(block_bytes)) return Failure{EINVAL};
  const residency::Geometry geometry(size_bytes, block_bytes);
  auto table = residency::Table::map(geometry.objects());
  if (!table.ok()) return Failure{table.error()};
  auto fd = syscalls::open_exact(path, size_bytes);
  if (!fd.ok()) return Failure{fd.error()};
  std::shared_ptr<InflightTable> inflight;
  if (misses) {
    auto made = InflightTable::make(std::move(misses), table.value(), geometry);
    if (!made.ok()) return Failure{made.error()};
    inflight = std::move(made.value());
  }
  return std::make_shared<DataFile>(disk::DiskFile(std::move(fd.value()), faults, reads), std::move(table.value()), geometry,
                                    std::move(inflight));
}

ReadOutcome DataFile::read(std::uint64_t offset, std::span<std::byte> target, Blocking patience,
                           std::uint32_t tick, disk::Pages pages) const {
  const auto short_means = patience == Blocking::yes ? ReadOutcome::miss : ReadOutcome::would_wait;
  return read_resident(*table_, geometry_, offset, target, tick, short_means,
                       [&](auto at, auto into) { return read_bytes(at, into, patience, pages); });
}

std::size_t DataFile::read_bytes(std::uint64_t offset, std::span<std::byte> target, Blocking patience,
                                 disk::Pages pages) const {
  switch (patience) {
    case Blocking::no_io:
      return disk_.read_without_io(offset, target, pages);
    case Blocking::no:
      return disk_.read_cached(offset, target, pages);
    default:
      return disk_.read(offset, target, pages).bytes;
  }
}

ReadOutcome DataFile::read_for_other(std::uint64_t offset, std::span<std::byte> target, Blocking patience) const {
  if (!geometry_.contains(offset, target.size()) || target.size() > residency::claim_bytes_max) return ReadOutcome::miss;
  if (target.empty()) return ReadOutcome::hit;
  const residency::SeqlockRead claim(*table_, geometry_, offset, target.size());
  if (!claim.whole()) return ReadOutcome::miss;
  // One thread serves many hosts: a read that begins could hold it, too.
  const bool no_io = patience == Blocking::no && syscalls::can_tell_cached();
  if (read_bytes(offset, target, no_io ? Blocking::no_io : patience, disk::Pages::leave) != target.size()) {
    return patience == Blocking::yes ? ReadOutcome::miss : ReadOutcome::would_wait;
  }
  return claim.holds() ? ReadOutcome::hit : ReadOutcome::miss;
}

ReadOutcome DataFile::splice(std::uint64_t offset, std::size_t length, int pipe) const {
  if (!geometry_.contains(offset, length) || length == 0 || length > residency::claim_bytes_max) return ReadOutcome::miss;
  const residency::SeqlockRead claim(*table_, geometry_, offset, length);
  if (!claim.whole()) return ReadOutcome::miss;
  if (!disk_.splice_cached(offset, length, pipe)) return ReadOutcome::would_wait;
  return claim.holds() ? ReadOutcome::hit : ReadOutcome::miss;
}

bool DataFile::can_splice() const { return may_pass_page_cache(geometry_); }

bool DataFile::read_all(std::uint64_t offset, std::span<std::byte> target, std::uint32_t tick) const {
  if (!geometry_.contains(offset, target.size())) return false;
  while (!target.empty()) {
    const auto part = target.first(std::min<std::size_t>(target.size(), residency::claim_bytes_max));
    if (read(offset, part, Blocking::yes, tick) != ReadOutcome::hit) return false;
    target = target.subspan(part.size());
    offset += part.size();
  }
  return true;
}

void DataFile::touch(std::uint64_t offset, std::size_t length, std::uint32_t tick) const {
  if (length == 0) return;
  for (auto object = geometry_.object_of(offset); object <= geometry_.object_of(offset + length - 1); object++) {
    const auto last_use = table_->last_use(object);
    if (last_use.load(std::memory_order_relaxed) != tick) last_use.store(tick, std::memory_order_relaxed);
  }
}

int DataFile::write_data(std::uint64_t offset, std::span<const std::byte> bytes, int direct_fd,
                         const CloneSource& source, std::uint64_t& cloned_bytes) const {
  if (source.file == nullptr || !may_clone_) return disk_.write(offset, bytes, direct_fd);
  const std::uint64_t block_bytes = geometry_.block_bytes();
  const auto& from = source.offsets;
  for (std::size_t first = 0, end = 0; first * block_bytes < bytes.size(); first = end) {
    const bool has_source = from[first] >= 0;
    const auto goes_on = [&](std::size_t k) {
      if (k * block_bytes >= bytes.size()) return false;
      return has_source ? from[k] == from[k - 1] + static_cast<std::int64_t>(block_bytes) : from[k] < 0;
    };
    for (end = first + 1; goes_on(end);) end++;
    const std::uint64_t begin = first * block_bytes;
    const auto part = bytes.subspan(begin, std::min<std::uint64_t>(end * block_bytes, bytes.size()) - begin);
    if (has_source && may_clone_) {
      const auto there = static_cast<std::uint64_t>(from[first]);
      const disk::Cloned cloned = disk_.clone(source.file->disk_, there, offset + begin, part);
      if (cloned == disk::Cloned::impossible) may_clone_ = false;
      if (cloned == disk::Cloned::shared) {
        cloned_bytes += part.size();
        continue;
      }
    }
    if (const int error = disk_.write(offset + begin, part, direct_fd); error != 0) return error;
  }
  return 0;
}

Result<WrittenBlocks> DataFile::write_blocks(std::uint64_t offset, std::span<const std::byte> bytes, Medium medium,
                                             const CloneSource& source) {
  const std::uint64_t block_bytes = geometry_.block_bytes();
  const std::uint64_t count = (bytes.size() + block_bytes - 1) / block_bytes;
  const bool whole = bytes.size() % block_bytes == 0 || offset + bytes.size() == geometry_.size_bytes();
  if (offset % block_bytes != 0 || !geometry_.contains(offset, bytes.size()) || !whole) return Failure{EINVAL};
  if (count > residency::blocks_per_object) return Failure{EINVAL};

  WrittenBlocks landed;
  const auto block = [&](std::uint64_t k) {
    return bytes.subspan(k * block_bytes, std::min<std::size_t>(block_bytes, bytes.size() - k * block_bytes));
  };
  for (std::uint64_t k = 0; k < count; k++) {
    landed.sums.push_back(disk::crc32c(block(k)));
    if (is_zero(block(k))) landed.zero |= std::uint64_t{1} << k;
  }
  // Opened for each extent, as for a verification.
  OwnedFd direct;
  if (medium == Medium::disk && may_pass_page_cache(geometry_)) {
    if (auto opened = syscalls::open_uncached(fd(), O_WRONLY); opened.ok()) direct = std::move(opened.value());
  }
  for (std::uint64_t first = 0, end = 0; first < count; first = end) {
    const bool zero = ((landed.zero >> first) & 1) != 0;
    for (end = first + 1; end < count && (((landed.zero >> end) & 1) != 0) == zero;) end++;
    const std::uint64_t begin = first * block_bytes;
    const std::uint64_t stop = std::min<std::uint64_t>(end * block_bytes, bytes.size());
    // Whole blocks also past the end of the file: a tail that is punched exactly stays allocated.
    const CloneSource part{.file = source.file,
                           .offsets = source.file == nullptr ? source.offsets : source.offsets.subspan(first, end - first)};
    const int error = zero ? disk_.punch(offset + begin, (end - first) * block_bytes)
                           : write_data(offset + begin, bytes.subspan(begin, stop - begin), direct.get(), part, landed.cloned_bytes);
    if (error != 0) return Failure{error};
  }
  if (direct.get() >= 0) bypassed_.add(offset, bytes.size());
  return landed;
}

int DataFile::drop_pages(std::uint64_t offset, std::uint64_t length) {
  bypassed_.add(offset, length);
  return syscalls::drop_pages(fd(), offset, length);
}

void DataFile::bring_back(std::uint64_t offset) {
  if (!bypassed_.take(offset)) return;
  const std::uint64_t unit = offset / BypassedPages::unit_bytes * BypassedPages::unit_bytes;
  (void)syscalls::read_pages_ahead(fd(), unit, BypassedPages::unit_bytes);
}

Verified DataFile::verify(std::uint64_t object, std::uint64_t blocks, const Sums& sums, Medium medium,
                          std::span<std::byte> scratch, const BlockProof* proof) const {
  const auto is_proven = [proof](std::uint64_t offset, std::span<const std::byte> bytes) {
    return proof == nullptr || proof->prove(offset, bytes) != Proof::wrong;
  };
  Verified found;
  if (object >= geometry_.objects()) return found;
  // Opened for each object: some microseconds, and no second descriptor an image.
  OwnedFd direct;
  if (medium == Medium::disk) {
    if (auto opened = syscalls::open_uncached(fd(), O_RDONLY); opened.ok()) direct = std::move(opened.value());
  }
  for (std::uint32_t k = 0; k < residency::blocks_per_object; k++) {
    if (((blocks >> k) & 1) == 0) continue;
    const std::uint64_t block = (object << residency::object_shift) + k;
    const std::uint64_t length = geometry_.bytes_of_block(block);
    if (length == 0 || length > scratch.size()) continue;
    const auto bytes = scratch.first(length);
    const std::uint64_t offset = geometry_.offset_of_block(block);
    const disk::DiskRead got =
        medium == Medium::disk ? disk_.read_uncached(direct.get(), offset, scratch, length) : disk_.read(offset, bytes);
    if (got.error != 0) {
      found.unread |= std::uint64_t{1} << k;
    } else if (got.bytes == length && disk::crc32c(bytes) == sums[k] && is_proven(offset, bytes)) {
      found.good |= std::uint64_t{1} << k;
    }
  }
  return found;
}

}  // namespace parentfs::image
