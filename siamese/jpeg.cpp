// SPDX-License-Identifier: MIT
//
// libjpeg reports errors by a call that must not return: it jumps back into read(), whose frame and everything between
// hold nothing with a destructor. Warnings of data lost count as errors: the picture would be grey in part.
#include "siamese/jpeg.h"

#include <csetjmp>
#include <cstddef>
#include <cstdio>  // jpeglib.h needs FILE

// clang-format off
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include <string>

#include "engine/error.h"

namespace gemel {
namespace {

// Files of up to a thousand scans, each of which is a pass over all pixels, are valid; nobody makes them but to do harm.
constexpr int kMostScans = 100;

class Decoder {
 public:
  explicit Decoder(std::span<const std::uint8_t> file) : file_(file) {
    info_.err = jpeg_std_error(&errors_);
    info_.client_data = this;
    errors_.error_exit = [](j_common_ptr info) { leave(info); };
    errors_.emit_message = [](j_common_ptr info, int level) {
      if (level < 0 && loses_data(info->err->msg_code)) leave(info);
    };
  }
  ~Decoder() { jpeg_destroy_decompress(&info_); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  Image header() {
    if (!read(Part::header)) throw Error(message_);
    const int channels = info_.jpeg_color_space == JCS_GRAYSCALE ? 1 : 3;
    return {static_cast<int>(info_.image_height), static_cast<int>(info_.image_width), channels, {}};
  }

  Image picture() {
    Image image = header();
    channels_ = is_cmyk() ? 4 : image.channels;
    pixels_.resize(info_.image_height * row());
    if (!read(Part::pixels)) throw Error(message_);
    if (is_cmyk()) cmyk_to_rgb();
    image.pixels = std::move(pixels_);
    return image;
  }

 private:
  enum class Part { header, pixels };

  static bool loses_data(int code) {
    return code != JWRN_EXTRANEOUS_DATA && code != JWRN_ADOBE_XFORM && code != JWRN_JFIF_MAJOR;
  }

  [[noreturn]] static void leave(j_common_ptr info) {
    auto* self = static_cast<Decoder*>(info->client_data);
    info->err->format_message(info, self->message_);
    std::longjmp(self->back_, 1);
  }

  bool is_cmyk() const { return info_.jpeg_color_space == JCS_CMYK || info_.jpeg_color_space == JCS_YCCK; }
  std::size_t row() const { return static_cast<std::size_t>(info_.image_width) * static_cast<std::size_t>(channels_); }

  bool read(Part part) {
    if (setjmp(back_) != 0) return false;
    if (part == Part::header) {
      jpeg_create_decompress(&info_);
      jpeg_mem_src(&info_, file_.data(), static_cast<unsigned long>(file_.size()));
      jpeg_read_header(&info_, TRUE);
      return true;
    }
    info_.out_color_space = channels_ == 1 ? JCS_GRAYSCALE : channels_ == 3 ? JCS_RGB : JCS_CMYK;
    progress_.progress_monitor = [](j_common_ptr info) {
      if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > kMostScans) {
        auto* self = static_cast<Decoder*>(info->client_data);
        std::snprintf(self->message_, sizeof(self->message_), "more than %d scans", kMostScans);
        std::longjmp(self->back_, 1);
      }
    };
    info_.progress = &progress_;
    jpeg_start_decompress(&info_);
    while (info_.output_scanline < info_.output_height) {
      JSAMPROW to = &pixels_[info_.output_scanline * row()];
      jpeg_read_scanlines(&info_, &to, 1);
    }
    jpeg_finish_decompress(&info_);
    return true;
  }

  // Adobe's programs, which alone write such files, store inks inverted: 255 is none.
  void cmyk_to_rgb() {
    const bool inverted = info_.saw_Adobe_marker != FALSE;
    const std::size_t count = pixels_.size() / 4;
    for (std::size_t i = 0; i < count; ++i) {
      const auto paper = [&](std::size_t ink) { return inverted ? pixels_[4 * i + ink] : 255 - pixels_[4 * i + ink]; };
      const int black = paper(3);
      for (std::size_t c = 0; c < 3; ++c) pixels_[3 * i + c] = static_cast<std::uint8_t>(paper(c) * black / 255);
    }
    pixels_.resize(3 * count);
  }

  std::span<const std::uint8_t> file_;
  jpeg_decompress_struct info_{};
  jpeg_error_mgr errors_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf back_{};
  char message_[JMSG_LENGTH_MAX] = "";
  int channels_ = 0;
  std::vector<std::uint8_t> pixels_;
};

}  // namespace

Image jpeg_header(std::span<const std::uint8_t> file) { return Decoder(file).header(); }

Image decode_jpeg(std::span<const std::uint8_t> file) { return Decoder(file).picture(); }

}  // namespace gemel
