/**
 * Origin readers of a cluster: an open image, and one version of a plain object, for session threads. Neither keeps
 * open what it reads: once that is closed, nothing is read any more.
 */
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "image/origin-reader.h"
#include "rbd/requests.h"

namespace parentfs::rbd {

class ImageReader final : public image::OriginReader {
 public:
  explicit ImageReader(const std::shared_ptr<Image>& image) : image_(image) {}

  /**
   * Zeros, and what a clone may have from its parent, are believed when the image has its snapshot afterwards: the
   * objects of one that was deleted are missing, which is read as either.
   */
  bool read(std::uint64_t offset, std::span<std::byte> target, Done done) override {
    const auto image = image_.lock();
    if (!image) return false;
    return read_image(image, offset, target.size(), std::make_shared<Target>(target, Target::Reader::stays),
                      [image, done = std::move(done)](const ImageRead& read) {
                        const bool is_right = read.problem.error == 0;
                        if (is_right && (read.has_zeros || image->has_parent())) confirm(image, done);
                        else done(is_right);
                      });
  }

 private:
  static void confirm(const std::shared_ptr<Image>& image, const Done& done) {
    const bool is_asked = snapshot_ids(image->pool(), image->id(), [image, done](const SnapshotIds& found) {
      done(found.problem.error == 0 && std::ranges::find(found.ids, image->snapshot()) != found.ids.end());
    });
    if (!is_asked) done(false);
  }

  std::weak_ptr<Image> image_;
};

class ObjectReader final : public image::OriginReader {
 public:
  ObjectReader(const std::shared_ptr<Pool>& pool, std::string name, std::uint64_t version)
      : pool_(pool), name_(std::move(name)), version_(version) {}

  /** The cluster compares the version in the operation that reads. */
  bool read(std::uint64_t offset, std::span<std::byte> target, Done done) override {
    const auto pool = pool_.lock();
    const auto place = std::make_shared<Target>(target, Target::Reader::stays);
    return pool && read_object(pool, name_, version_, offset, target.size(), place,
                               [done = std::move(done)](const Problem& problem) { done(problem.error == 0); });
  }

 private:
  std::weak_ptr<Pool> pool_;
  const std::string name_;
  const std::uint64_t version_;
};

}  // namespace parentfs::rbd
