/** Fetch memory: first fit, neighbours merged. */
#include "image/fetch-memory.h"

#include <sys/mman.h>

#include <new>

#include "disk/aligned-buffer.h"

namespace parentfs::image {

namespace {

std::size_t whole_pages(std::size_t bytes) {
  constexpr std::size_t page = disk::AlignedBuffer::page_bytes;
  return (bytes + page - 1) / page * page;
}

}  // namespace

FetchMemory::FetchMemory(std::size_t bytes) : bytes_(bytes) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  begin_ = static_cast<std::byte*>(memory);
  free_.emplace(0, bytes);
}

FetchMemory::~FetchMemory() { ::munmap(begin_, bytes_); }

std::span<std::byte> FetchMemory::take(std::size_t bytes) {
  const std::size_t needed = whole_pages(bytes);
  const Lock lock(mutex_);
  for (auto piece = free_.begin(); piece != free_.end(); ++piece) {
    const auto [offset, room] = *piece;
    if (room < needed) continue;
    free_.erase(piece);
    if (room > needed) free_.emplace(offset + needed, room - needed);
    return {begin_ + offset, bytes};
  }
  return {};
}

void FetchMemory::give_back(std::span<std::byte> piece) {
  auto offset = static_cast<std::size_t>(piece.data() - begin_);
  std::size_t bytes = whole_pages(piece.size());
  const Lock lock(mutex_);
  auto next = free_.lower_bound(offset);
  if (next != free_.end() && next->first == offset + bytes) {
    bytes += next->second;
    next = free_.erase(next);
  }
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == offset) {
      before->second += bytes;
      return;
    }
  }
  free_.emplace(offset, bytes);
}

}  // namespace parentfs::image
