// SPDX-License-Identifier: MIT
//
// Pictures: what is written comes back, and whatever is cut, damaged or no picture is named.
#include "siamese/image.h"

#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>

#include <cmath>
#include <map>

#include "tests/siamese/support.h"

namespace gemel {
namespace {

constexpr int kWidth = 13, kHeight = 7;

std::vector<std::uint8_t> noise(int channels) {
  Random random(5, static_cast<std::uint64_t>(channels));
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(kWidth * kHeight * channels));
  for (auto& x : pixels) x = static_cast<std::uint8_t>(random.below(256));
  return pixels;
}

fs::path write_png(const TemporaryFolder& folder, int channels, const std::vector<std::uint8_t>& pixels) {
  const fs::path file = folder / "picture.png";
  EXPECT_NE(stbi_write_png(file.c_str(), kWidth, kHeight, channels, pixels.data(), 0), 0);
  return file;
}

TEST(ReadImage, LosslessFormatsComeBackExactly) {
  const TemporaryFolder folder;
  for (const int channels : {1, 3}) {
    const std::vector<std::uint8_t> pixels = noise(channels);
    const fs::path png = write_png(folder, channels, pixels);
    const fs::path pnm = folder / "picture.pnm";
    put_file(pnm, concat(channels == 1 ? "P5" : "P6", " # a comment\n# another\n", kWidth, "\n", kHeight, " 255\n") +
                      std::string(pixels.begin(), pixels.end()));
    std::vector<fs::path> files{png, pnm};
    if (channels == 3) {  // stb_image_write stores grey bitmaps as RGB
      files.push_back(folder / "picture.bmp");
      ASSERT_NE(stbi_write_bmp(files.back().c_str(), kWidth, kHeight, channels, pixels.data()), 0);
    }
    for (const fs::path& file : files) {
      SCOPED_TRACE(concat(file.filename().string(), ", ", channels, " channels"));
      const Image image = read_image(file, 0);
      EXPECT_EQ(image.width, kWidth);
      EXPECT_EQ(image.height, kHeight);
      EXPECT_EQ(image.channels, channels);
      EXPECT_EQ(image.pixels, pixels);
      const Image header = read_image_header(file);
      EXPECT_EQ(header.width, kWidth);
      EXPECT_EQ(header.height, kHeight);
      EXPECT_EQ(header.channels, channels);
    }
  }
}

TEST(ReadImage, JpegComesBackNearly) {
  const TemporaryFolder folder;
  std::vector<std::uint8_t> pixels;
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) pixels.insert(pixels.end(), {static_cast<std::uint8_t>(10 * x + 5 * y), 100, 60});
  }
  const fs::path file = folder / "picture.jpg";
  ASSERT_NE(stbi_write_jpg(file.c_str(), kWidth, kHeight, 3, pixels.data(), 95), 0);
  const Image image = read_image(file, 0);
  ASSERT_EQ(image.pixels.size(), pixels.size());
  for (std::size_t i = 0; i < pixels.size(); ++i) EXPECT_NEAR(image.pixels[i], pixels[i], 12) << i;
}

// An APP1 segment of one tag behind the first two bytes of a JPEG (EXIF 2.32, 4.5.4 and 4.7.2).
std::string with_orientation(const std::string& jpeg, int orientation, bool big_endian) {
  const auto number = [&](unsigned value, int bytes) {
    std::string text;
    for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> 8 * (big_endian ? bytes - 1 - i : i) & 255);
    return text;
  };
  const std::string tiff = (big_endian ? "MM" : "II") + number(42, 2) + number(8, 4) + number(1, 2) +
                           number(0x0112, 2) + number(3, 2) + number(1, 4) +
                           number(static_cast<unsigned>(orientation), 2) + number(0, 2) + number(0, 4);
  const std::string content = std::string("Exif\0\0", 6) + tiff;
  const std::size_t length = content.size() + 2;
  return jpeg.substr(0, 2) + "\xFF\xE1" + static_cast<char>(length >> 8) + static_cast<char>(length & 255) + content +
         jpeg.substr(2);
}

// Four quarters of a stored picture, A B over C D; how they are seen.
TEST(ReadImage, StandsUprightByExif) {
  const TemporaryFolder folder;
  constexpr int kH = 32, kW = 48;
  std::vector<std::uint8_t> pixels;
  for (int y = 0; y < kH; ++y) {
    for (int x = 0; x < kW; ++x)
      pixels.push_back(static_cast<std::uint8_t>(40 + 60 * ((y >= kH / 2) * 2 + (x >= kW / 2))));
  }
  const fs::path file = folder / "a.jpg";
  ASSERT_NE(stbi_write_jpg(file.c_str(), kW, kH, 1, pixels.data(), 95), 0);
  const std::string jpeg = read_file(file);
  const char* seen[] = {"ABCD", "ABCD", "BADC", "DCBA", "CDAB", "ACBD", "CADB", "DBCA", "BDAC", "ABCD"};
  for (int orientation = 0; orientation <= 9; ++orientation) {
    for (const bool big_endian : {false, true}) {
      SCOPED_TRACE(orientation);
      put_file(file, with_orientation(jpeg, orientation, big_endian));
      const Image image = read_image(file, 1), header = read_image_header(file);
      const bool turned = orientation >= 5 && orientation <= 8;
      ASSERT_EQ(image.height, turned ? kW : kH);
      ASSERT_EQ(image.width, turned ? kH : kW);
      EXPECT_EQ(header.height, image.height);
      EXPECT_EQ(header.width, image.width);
      std::string quarters;
      for (const int y : {image.height / 4, 3 * image.height / 4}) {
        for (const int x : {image.width / 4, 3 * image.width / 4}) {
          quarters += static_cast<char>('A' + (image.pixels[static_cast<std::size_t>(y) * image.width + x] - 10) / 60);
        }
      }
      EXPECT_EQ(quarters, seen[orientation]);
    }
  }
  // Cut anywhere, or of another type, the tag is no reason to refuse the picture, nor to turn it.
  const std::string whole = with_orientation(jpeg, 6, false);
  for (std::size_t cut = 0; cut < 26; ++cut) {
    std::string changed = whole;
    changed[12 + cut] = static_cast<char>(changed[12 + cut] ^ 0xFF);
    put_file(file, changed);
    const Image image = read_image(file, 1);
    EXPECT_EQ(image.pixels.size(), pixels.size()) << cut;
  }
}

TEST(ReadImage, ConvertsChannels) {
  const TemporaryFolder folder;
  const std::vector<std::uint8_t> rgb = noise(3), grey = noise(1);
  const Image luma = read_image(write_png(folder, 3, rgb), 1);
  ASSERT_EQ(luma.pixels.size(), grey.size());
  for (std::size_t i = 0; i < luma.pixels.size(); ++i) {
    EXPECT_NEAR(luma.pixels[i], 0.299 * rgb[3 * i] + 0.587 * rgb[3 * i + 1] + 0.114 * rgb[3 * i + 2], 1.5);
  }
  const Image repeated = read_image(write_png(folder, 1, grey), 3);
  for (std::size_t i = 0; i < repeated.pixels.size(); ++i) EXPECT_EQ(repeated.pixels[i], grey[i / 3]);
  EXPECT_THROW(read_image(folder / "picture.png", 2), InputError);
}

TEST(ReadImage, AlphaIsComposedOverWhite) {
  const TemporaryFolder folder;
  for (const int channels : {2, 4}) {
    const std::vector<std::uint8_t> pixels = noise(channels);
    const Image image = read_image(write_png(folder, channels, pixels), 0);
    ASSERT_EQ(image.channels, channels - 1);
    for (int i = 0; i < kWidth * kHeight; ++i) {
      for (int c = 0; c < channels - 1; ++c) {
        const double alpha = pixels[static_cast<std::size_t>(i * channels + channels - 1)] / 255.0;
        const double want = alpha * pixels[static_cast<std::size_t>(i * channels + c)] + (1 - alpha) * 255;
        EXPECT_NEAR(image.pixels[static_cast<std::size_t>(i * (channels - 1) + c)], want, 0.51);
      }
    }
  }
}

TEST(ReadImage, PgmOfAnyMaxval) {
  const TemporaryFolder folder;
  put_file(folder / "a.pgm", std::string("P5 3 1 15\n\x00\x07\x0F", 13));
  EXPECT_EQ(read_image(folder / "a.pgm", 0).pixels, (std::vector<std::uint8_t>{0, 119, 255}));
  put_file(folder / "b.pgm", std::string("P5 2 1 65535\n\x80\x00\xFF\xFF", 17));
  EXPECT_EQ(read_image(folder / "b.pgm", 0).pixels, (std::vector<std::uint8_t>{128, 255}));
}

TEST(ReadImage, CutAnywhereIsNoticed) {
  const TemporaryFolder folder;
  const std::vector<std::uint8_t> pixels = noise(3);
  std::map<std::string, std::string> files;
  files["a.png"] = read_file(write_png(folder, 3, pixels));
  stbi_write_jpg((folder / "whole").c_str(), kWidth, kHeight, 3, pixels.data(), 80);
  files["a.jpg"] = read_file(folder / "whole");
  stbi_write_bmp((folder / "whole").c_str(), kWidth, kHeight, 3, pixels.data());
  files["a.bmp"] = read_file(folder / "whole");
  files["a.ppm"] = concat("P6\n", kWidth, " ", kHeight, "\n255\n") + std::string(pixels.begin(), pixels.end());
  const std::vector<std::uint8_t> large(61 * 47 * 3, 90);
  stbi_write_jpg((folder / "whole").c_str(), 61, 47, 3, large.data(), 80);
  files["large.jpg"] = read_file(folder / "whole");
  for (const auto& [name, whole] : files) {
    const fs::path file = folder / name;
    put_file(file, whole);
    EXPECT_NO_THROW(read_image(file, 0)) << name;
    for (std::size_t length = 0; length < whole.size(); length += length < 64 || length + 16 > whole.size() ? 1 : 11) {
      SCOPED_TRACE(concat(name, " cut to ", length, " of ", whole.size()));
      put_file(file, whole.substr(0, length));
      expect_input_error([&] { read_image(file, 0); }, {file.string()});
    }
  }
}

TEST(ReadImage, FlippedBitsOfPngAreNoticed) {
  const TemporaryFolder folder;
  const fs::path file = write_png(folder, 1, noise(1));
  const std::string whole = read_file(file);
  for (std::size_t i = 8; i < whole.size(); ++i) {
    SCOPED_TRACE(concat("byte ", i));
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x04);
    put_file(file, damaged);
    expect_input_error([&] { read_image(file, 0); }, {file.string()});
  }
}

TEST(ReadImage, WhatIsNoPictureIsNamed) {
  const TemporaryFolder folder;
  put_file(folder / "empty.png", "");
  put_file(folder / "text.png", "a text with the wrong ending, longer than any header");
  put_file(folder / "ascii.pgm", "P2 2 1 255\n0 1\n");
  fs::create_directory(folder / "folder.png");
  expect_input_error([&] { read_image(folder / "missing.png", 0); }, {"missing.png", "no such file"});
  expect_input_error([&] { read_image(folder / "empty.png", 0); }, {"empty.png", "empty"});
  expect_input_error([&] { read_image(folder / "text.png", 0); }, {"text.png", "convert it to PNG"});
  expect_input_error([&] { read_image(folder / "ascii.pgm", 0); }, {"ascii.pgm", "convert it"});
  expect_input_error([&] { read_image(folder / "folder.png", 0); }, {"folder.png", "not a file"});
}

// The header is judged before anything is decoded.
TEST(ReadImage, TooManyMegapixelsAreRefused) {
  const TemporaryFolder folder;
  put_file(folder / "a.pgm", "P5 8001 8000 255\n");
  expect_input_error([&] { read_image(folder / "a.pgm", 0); }, {"a.pgm", "8001x8000", "64 megapixels"});
  put_file(folder / "b.pgm", "P5 99999999999999999999 2 255\n");
  expect_input_error([&] { read_image(folder / "b.pgm", 0); }, {"b.pgm"});
  put_file(folder / "c.pgm", "P5 0 2 255\n");
  expect_input_error([&] { read_image(folder / "c.pgm", 0); }, {"c.pgm", "no pixels"});
  std::string png = read_file(write_png(folder, 1, noise(1)));
  png.replace(16, 8, std::string("\0\0\x40\0\0\0\x40\0", 8));  // 16384 x 16384
  put_file(folder / "d.png", png);
  expect_input_error([&] { read_image(folder / "d.png", 0); }, {"d.png", "16384x16384", "64 megapixels"});
}

TEST(ReadImage, OrlFaces) {
  const char* data = std::getenv("GEMEL_DATA");
  if (data == nullptr) GTEST_SKIP() << "set GEMEL_DATA to the folder that holds orl_faces to run this";
  const Image face = read_image(fs::path(data) / "orl_faces" / "s1" / "1.pgm", 0);
  EXPECT_EQ(face.width, 92);
  EXPECT_EQ(face.height, 112);
  EXPECT_EQ(face.channels, 1);
}

TEST(Resize, SameSizeIsTheSame) {
  const Image image{kHeight, kWidth, 3, noise(3)};
  EXPECT_EQ(resize(image, kHeight, kWidth).pixels, image.pixels);
}

TEST(Resize, ConstantStaysConstant) {
  const Image image{kHeight, kWidth, 1, std::vector<std::uint8_t>(kWidth * kHeight, 77)};
  for (const auto& [height, width] : {std::pair{1, 1}, {31, 33}, {3, 61}}) {
    const Image other = resize(image, height, width);
    EXPECT_EQ(other.height, height);
    EXPECT_EQ(other.width, width);
    EXPECT_EQ(other.pixels, std::vector<std::uint8_t>(static_cast<std::size_t>(height * width), 77));
  }
}

TEST(Resize, KeepsTheMeanAndTheDirection) {
  Image ramp{40, 60, 1, {}};
  for (int y = 0; y < 40; ++y) {
    for (int x = 0; x < 60; ++x) ramp.pixels.push_back(static_cast<std::uint8_t>(4 * x));
  }
  const Image small = resize(ramp, 10, 15);
  double mean = 0;
  for (int y = 0; y < 10; ++y) {
    for (int x = 0; x < 15; ++x) {
      const double value = small.pixels[static_cast<std::size_t>(y * 15 + x)];
      mean += value / 150;
      EXPECT_NEAR(value, 16 * x + 6, x == 0 || x == 14 ? 4 : 1.01);  // the mean of columns 4x .. 4x + 3
    }
  }
  EXPECT_NEAR(mean, 118, 1);
  EXPECT_THROW(resize(ramp, 0, 5), ShapeError);
}

}  // namespace
}  // namespace gemel
