/**
 * An open image as a source that session threads read by themselves. It does not keep the image open: once that is
 * closed, nothing is read any more.
 */
#pragma once

#include <memory>
#include <utility>

#include "rbd/requests.h"
#include "image/origin-reader.h"

namespace parentfs::bridge {

class ImageReader final : public image::OriginReader {
 public:
  explicit ImageReader(const std::shared_ptr<rbd::Image>& image) : image_(image) {}

  /** Zeros, and what a clone may have from its parent, are believed only after a question that is not asked here. */
  bool read(std::uint64_t offset, std::span<std::byte> target, Done done) override {
    const auto image = image_.lock();
    if (!image || image->has_parent()) return false;
    return rbd::read_image(image, offset, target.size(), std::make_shared<rbd::Target>(target),
                           [done = std::move(done)](const rbd::ImageRead& read) {
                             done(read.problem.error == 0 && !read.has_zeros);
                           });
  }

 private:
  std::weak_ptr<rbd::Image> image_;
};

}  // namespace parentfs::bridge
