// SPDX-License-Identifier: MIT
//
// JPEG files of every kind that libjpeg writes come back; what is cut, damaged or made to be slow is refused.
#include <cstdio>
#include <cstdlib>

// clang-format off
#include <jpeglib.h>
// clang-format on

#include "siamese/image.h"
#include "tests/siamese/support.h"

namespace gemel {
namespace {

constexpr int kWidth = 37, kHeight = 23;

enum class Scans { one, progressive, one_a_coefficient };

// `pixels` of kHeight x kWidth in `space`, of the best quality.
std::string encode(J_COLOR_SPACE space, int channels, std::vector<std::uint8_t> pixels, Scans scans = Scans::one) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &bytes, &size);
  info.image_width = kWidth;
  info.image_height = kHeight;
  info.input_components = channels;
  info.in_color_space = space;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 100, TRUE);
  for (int i = 0; i < info.num_components; ++i) info.comp_info[i].h_samp_factor = info.comp_info[i].v_samp_factor = 1;
  std::vector<jpeg_scan_info> script;
  if (scans == Scans::progressive) jpeg_simple_progression(&info);
  if (scans == Scans::one_a_coefficient) {
    script.push_back({3, {0, 1, 2}, 0, 0, 0, 0});
    for (int c = 0; c < 3; ++c) {
      for (int k = 1; k < 64; ++k) script.push_back({1, {c}, k, k, 0, 0});
    }
    info.scan_info = script.data();
    info.num_scans = static_cast<int>(script.size());
  }
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    JSAMPROW row = &pixels[static_cast<std::size_t>(info.next_scanline) * kWidth * static_cast<std::size_t>(channels)];
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  std::string file(reinterpret_cast<char*>(bytes), size);
  std::free(bytes);
  return file;
}

// Smooth, so that a few grey values are all that is lost.
std::vector<std::uint8_t> slopes(int channels) {
  std::vector<std::uint8_t> pixels;
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      for (int c = 0; c < channels; ++c) pixels.push_back(static_cast<std::uint8_t>(5 * x + (c + 1) * y));
    }
  }
  return pixels;
}

void expect_pixels(const fs::path& file, int channels, const std::vector<std::uint8_t>& want) {
  const Image header = read_image_header(file);
  EXPECT_EQ(header.width, kWidth);
  EXPECT_EQ(header.height, kHeight);
  EXPECT_EQ(header.channels, channels);
  const Image image = read_image(file, 0);
  EXPECT_EQ(image.channels, channels);
  ASSERT_EQ(image.pixels.size(), want.size());
  for (std::size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(image.pixels[i], want[i], 4) << i;
}

TEST(ReadJpeg, GreyAndColourBaselineAndProgressive) {
  const TemporaryFolder folder;
  for (const Scans scans : {Scans::one, Scans::progressive}) {
    put_file(folder / "a.jpg", encode(JCS_GRAYSCALE, 1, slopes(1), scans));
    expect_pixels(folder / "a.jpg", 1, slopes(1));
    put_file(folder / "a.jpg", encode(JCS_RGB, 3, slopes(3), scans));
    expect_pixels(folder / "a.jpg", 3, slopes(3));
  }
}

// libjpeg writes Adobe's marker with CMYK, whose inks are then inverted: paper * black / 255.
TEST(ReadJpeg, CmykComesAsRgb) {
  const TemporaryFolder folder;
  const std::vector<std::uint8_t> inks = slopes(4);
  std::vector<std::uint8_t> want;
  for (std::size_t i = 0; i < inks.size(); i += 4) {
    for (std::size_t c = 0; c < 3; ++c) want.push_back(static_cast<std::uint8_t>(inks[i + c] * inks[i + 3] / 255));
  }
  put_file(folder / "a.jpg", encode(JCS_CMYK, 4, inks));
  expect_pixels(folder / "a.jpg", 3, want);
}

// Cameras leave bytes before the last marker, and programs append a second picture.
TEST(ReadJpeg, WhatFollowsThePixelsDoesNotMatter) {
  const TemporaryFolder folder;
  const std::string whole = encode(JCS_RGB, 3, slopes(3));
  put_file(folder / "a.jpg", whole.substr(0, whole.size() - 2) + std::string(8, '\0') + whole.substr(whole.size() - 2));
  expect_pixels(folder / "a.jpg", 3, slopes(3));
  put_file(folder / "a.jpg", whole + whole.substr(0, 100));
  expect_pixels(folder / "a.jpg", 3, slopes(3));
}

TEST(ReadJpeg, CutAnywhereIsNoticed) {
  const TemporaryFolder folder;
  for (const Scans scans : {Scans::one, Scans::progressive}) {
    const std::string whole = encode(JCS_RGB, 3, slopes(3), scans);
    for (std::size_t length = 2; length < whole.size(); ++length) {
      SCOPED_TRACE(concat("cut to ", length, " of ", whole.size()));
      put_file(folder / "a.jpg", whole.substr(0, length));
      expect_input_error([&] { read_image(folder / "a.jpg", 0); }, {"a.jpg"});
    }
  }
}

TEST(ReadJpeg, TooManyScansAreRefused) {
  const TemporaryFolder folder;
  put_file(folder / "a.jpg", encode(JCS_RGB, 3, slopes(3), Scans::one_a_coefficient));
  expect_input_error([&] { read_image(folder / "a.jpg", 0); }, {"a.jpg", "more than 100 scans"});
}

}  // namespace
}  // namespace gemel
