// SPDX-License-Identifier: MIT
//
// Pictures from files. stb_image decodes PNG and BMP, libjpeg JPEG; binary PGM and PPM are read here, because stb_image
// 2.27 hands out uninitialised memory for a PNM file cut short and does not scale a maxval other than 255. stb notices
// neither a BMP file cut short nor a wrong PNG checksum: these are checked before decoding.
#include "siamese/image.h"

#include <stb/stb_image.h>
#include <stb/stb_image_resize.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <string_view>

#include "engine/error.h"
#include "siamese/exif.h"
#include "siamese/jpeg.h"

namespace gemel {
namespace {

namespace fs = std::filesystem;
using Bytes = std::span<const std::uint8_t>;

constexpr std::int64_t kMaxPixels = 64'000'000;
constexpr std::uintmax_t kMaxFileBytes = std::uintmax_t{1} << 30;
constexpr std::size_t kHeaderBytes = 64 * 1024;  // first read when only the header is wanted
constexpr const char* kFormats = "PNG, JPEG, binary PGM or PPM, or BMP";

[[noreturn]] void fail(const fs::path& file, const std::string& what) {
  throw InputError(concat(file.string(), ": ", what));
}

// The file's first `limit` bytes (all of them when it is shorter).
std::vector<std::uint8_t> read_bytes(const fs::path& file, std::uintmax_t limit) {
  std::error_code error;
  const fs::file_status status = fs::status(file, error);
  if (!fs::exists(status)) fail(file, "no such file");
  if (!fs::is_regular_file(status)) fail(file, "is not a file; a picture was expected");
  const std::uintmax_t size = fs::file_size(file, error);
  if (error) fail(file, "cannot be read: " + error.message());
  if (size == 0) fail(file, "the picture is empty (0 bytes); remove or replace it");
  if (size > kMaxFileBytes) fail(file, "larger than 1 GiB; not taken for a picture");
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(std::min(size, limit)));
  std::ifstream stream(file, std::ios::binary);
  if (!stream) fail(file, "cannot be opened; check its permissions");
  stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (static_cast<std::size_t>(stream.gcount()) != bytes.size()) fail(file, "cannot be read to its end");
  return bytes;
}

bool starts_with(Bytes bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}
constexpr std::string_view kPngMagic{"\x89PNG\r\n\x1a\n", 8};

bool is_jpeg(Bytes bytes) { return starts_with(bytes, "\xFF\xD8"); }
bool is_pnm(Bytes bytes) { return starts_with(bytes, "P5") || starts_with(bytes, "P6"); }

void check_size(const fs::path& file, std::int64_t width, std::int64_t height) {
  if (width < 1 || height < 1) fail(file, "the picture's header says it has no pixels");
  if (width > kMaxPixels || height > kMaxPixels / width) {
    fail(file, concat("the picture is ", width, "x", height, " by its header; at most 64 megapixels are read"));
  }
}

// ---- binary PNM: "P5" (grey) or "P6" (RGB), width, height, maxval, one white space, then the samples, big-endian in
// two bytes when maxval > 255; '#' comments run to the line's end (netpbm's pgm(5) and ppm(5)).
struct PnmHeader {
  int width, height, channels, maxval;
  std::size_t begin;  // of the samples
};

PnmHeader read_pnm_header(const fs::path& file, Bytes bytes) {
  std::size_t at = 2;
  auto next_number = [&] {
    while (at < bytes.size() && (std::isspace(bytes[at]) != 0 || bytes[at] == '#')) {
      if (bytes[at] == '#') {
        while (at < bytes.size() && bytes[at] != '\n') ++at;
      } else {
        ++at;
      }
    }
    const std::size_t first = at;
    std::int64_t value = 0;
    while (at < bytes.size() && std::isdigit(bytes[at]) != 0 && value <= kMaxPixels)
      value = value * 10 + (bytes[at++] - '0');
    if (at == first || at >= bytes.size()) fail(file, "the PGM or PPM header is damaged or cut short");
    return value;
  };
  const std::int64_t width = next_number(), height = next_number(), maxval = next_number();
  check_size(file, width, height);
  if (maxval < 1 || maxval > 65535 || std::isspace(bytes[at]) == 0) fail(file, "the PGM or PPM header is damaged");
  return {static_cast<int>(width), static_cast<int>(height), bytes[1] == '5' ? 1 : 3, static_cast<int>(maxval), at + 1};
}

Image decode_pnm(const fs::path& file, Bytes bytes) {
  const PnmHeader header = read_pnm_header(file, bytes);
  Image image{header.height, header.width, header.channels, {}};
  const std::size_t count = static_cast<std::size_t>(image.height) * image.width * image.channels;
  const std::size_t width = header.maxval > 255 ? 2 : 1;
  if (bytes.size() - header.begin < count * width) fail(file, "the picture is cut short; copy it again");
  const Bytes samples = bytes.subspan(header.begin);
  image.pixels.resize(count);
  const int maxval = header.maxval;
  for (std::size_t i = 0; i < count; ++i) {
    const int sample = width == 1 ? samples[i] : samples[2 * i] * 256 + samples[2 * i + 1];
    image.pixels[i] = static_cast<std::uint8_t>((std::min(sample, maxval) * 255 + maxval / 2) / maxval);
  }
  return image;
}

// ---- wholeness of the formats that stb decodes: what is wrong, or null
std::uint32_t big_endian_32(const std::uint8_t* p) {
  return std::uint32_t{p[0]} << 24 | std::uint32_t{p[1]} << 16 | std::uint32_t{p[2]} << 8 | p[3];
}
std::uint32_t little_endian_32(const std::uint8_t* p) {
  return std::uint32_t{p[3]} << 24 | std::uint32_t{p[2]} << 16 | std::uint32_t{p[1]} << 8 | p[0];
}

// Chunks are: length, type, data, CRC-32 of type and data; IEND is the last.
const char* png_damage(Bytes bytes) {
  for (std::size_t at = kPngMagic.size();;) {
    if (bytes.size() - at < 12) return "the picture is cut short; copy it again";
    const std::size_t length = big_endian_32(&bytes[at]);
    if (bytes.size() - at - 12 < length) return "the picture is cut short; copy it again";
    const std::uint8_t* type = &bytes[at + 4];
    if (crc32(0, type, static_cast<uInt>(length + 4)) != big_endian_32(type + 4 + length)) {
      return "the picture is damaged (a checksum differs); copy it again";
    }
    if (std::memcmp(type, "IEND", 4) == 0) return nullptr;
    at += length + 12;
  }
}

// The header holds where the pixels start, and, in its second part, the size and the bits of a pixel; rows are padded
// to four bytes. Compressed bitmaps stb does not decode at all.
const char* bmp_damage(Bytes bytes, int width, int height) {
  if (bytes.size() < 30) return "the picture is cut short; copy it again";
  const std::uint64_t begin = little_endian_32(&bytes[10]);
  const bool old_header = little_endian_32(&bytes[14]) == 12;
  const std::uint64_t bits = bytes[old_header ? 24 : 28];
  const std::uint64_t row = (bits * static_cast<std::uint64_t>(width) + 31) / 32 * 4;
  return begin + row * static_cast<std::uint64_t>(height) <= bytes.size() ? nullptr
                                                                          : "the picture is cut short; copy it again";
}

struct StbHeader {
  int width, height, components;
};
std::optional<StbHeader> stb_header(Bytes bytes) {
  StbHeader header{};
  if (stbi_info_from_memory(bytes.data(), static_cast<int>(bytes.size()), &header.width, &header.height,
                            &header.components) == 0) {
    return std::nullopt;
  }
  if (header.height < 0 && header.height > -kMaxPixels)
    header.height = -header.height;  // a BMP stored from the top down
  return header;
}

// Why stb cannot read a file's header.
[[noreturn]] void fail_header(const fs::path& file, Bytes bytes) {
  if (starts_with(bytes, kPngMagic) || starts_with(bytes, "BM")) {
    fail(file, concat("the picture's header is damaged (", stbi_failure_reason(), ")"));
  }
  if (starts_with(bytes, "P2") || starts_with(bytes, "P3")) {
    fail(file, "text PGM and PPM are not read; convert it to a binary one or to PNG");
  }
  fail(file, concat("is not a picture that can be read; convert it to ", kFormats));
}

// (alpha x + (255 - alpha) white) / 255, rounded; keeps the first `channels` of each pixel.
void compose_over_white(const std::uint8_t* from, int channels, std::vector<std::uint8_t>& to) {
  const std::size_t count = to.size() / static_cast<std::size_t>(channels);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint8_t* pixel = from + i * static_cast<std::size_t>(channels + 1);
    const int alpha = pixel[channels];
    for (int c = 0; c < channels; ++c) {
      const int sum = alpha * pixel[c] + (255 - alpha) * 255;
      to[i * static_cast<std::size_t>(channels) + static_cast<std::size_t>(c)] =
          static_cast<std::uint8_t>((sum + 127) / 255);
    }
  }
}

// Size and channels as they are stored, without pixels.
Image stored_header(const fs::path& file, Bytes bytes) {
  Image image;
  if (is_jpeg(bytes)) {
    try {
      image = jpeg_header(bytes);
    } catch (const Error& error) {
      fail(file, concat("the picture's header is damaged (", error.what(), ")"));
    }
  } else {
    const std::optional<StbHeader> header = stb_header(bytes);
    if (!header) fail_header(file, bytes);
    image = {header->height, header->width, header->components <= 2 ? 1 : 3, {}};
  }
  check_size(file, image.width, image.height);
  return image;
}

Image read_with_stb(const fs::path& file, Bytes bytes) {
  const Image header = stored_header(file, bytes);
  const char* damage = starts_with(bytes, kPngMagic) ? png_damage(bytes)
                       : starts_with(bytes, "BM")    ? bmp_damage(bytes, header.width, header.height)
                                                     : nullptr;
  if (damage != nullptr) fail(file, damage);
  Image image;
  int components = 0;
  const std::unique_ptr<stbi_uc, void (*)(void*)> pixels(
      stbi_load_from_memory(bytes.data(), static_cast<int>(bytes.size()), &image.width, &image.height, &components, 0),
      stbi_image_free);
  if (!pixels) fail(file, concat("the picture is damaged (", stbi_failure_reason(), "); replace it"));
  image.channels = components <= 2 ? 1 : 3;
  image.pixels.resize(static_cast<std::size_t>(image.height) * image.width * image.channels);
  if (components == image.channels) {
    std::copy_n(pixels.get(), image.pixels.size(), image.pixels.begin());
  } else {
    compose_over_white(pixels.get(), image.channels, image.pixels);
  }
  return image;
}

Image read_jpeg(const fs::path& file, Bytes bytes) {
  stored_header(file, bytes);  // before memory is taken for what it claims
  try {
    return decode_jpeg(bytes);
  } catch (const Error& error) {
    fail(file, concat("the picture is damaged or cut short (", error.what(), "); copy or replace it"));
  }
}

}  // namespace

bool has_image_ending(const fs::path& file) {
  static constexpr std::array<std::string_view, 7> kEndings{".png", ".jpg", ".jpeg", ".pgm", ".ppm", ".pnm", ".bmp"};
  std::string ending = file.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::find(kEndings.begin(), kEndings.end(), ending) != kEndings.end();
}

Image read_image_header(const fs::path& file) {
  std::vector<std::uint8_t> bytes = read_bytes(file, kHeaderBytes);
  if (is_pnm(bytes)) {
    const PnmHeader header = read_pnm_header(file, bytes);
    return {header.height, header.width, header.channels, {}};
  }
  Image header;
  try {
    header = stored_header(file, bytes);
  } catch (const InputError&) {  // a JPEG's size may stand behind a large thumbnail or colour profile
    bytes = read_bytes(file, kMaxFileBytes);
    header = stored_header(file, bytes);
  }
  if (exif_orientation(bytes) >= 5) std::swap(header.width, header.height);
  return header;
}

Image read_image(const fs::path& file, int channels) {
  const std::vector<std::uint8_t> bytes = read_bytes(file, kMaxFileBytes);
  if (is_pnm(bytes)) return to_channels(decode_pnm(file, bytes), channels);
  const Image stored = is_jpeg(bytes) ? read_jpeg(file, bytes) : read_with_stb(file, bytes);
  return to_channels(upright(stored, exif_orientation(bytes)), channels);
}

Image to_channels(Image image, int channels) {
  if (channels != 0 && channels != 1 && channels != 3) {
    throw InputError(concat("pictures have 1 or 3 channels, not ", channels));
  }
  if (channels == 0 || channels == image.channels) return image;
  const std::size_t count = static_cast<std::size_t>(image.height) * image.width;
  std::vector<std::uint8_t> pixels(count * static_cast<std::size_t>(channels));
  for (std::size_t i = 0; i < count; ++i) {
    if (channels == 3) {
      std::fill_n(&pixels[3 * i], 3, image.pixels[i]);
    } else {  // 0.299 R + 0.587 G + 0.114 B, in 256ths
      const std::uint8_t* rgb = &image.pixels[3 * i];
      pixels[i] = static_cast<std::uint8_t>((77 * rgb[0] + 150 * rgb[1] + 29 * rgb[2] + 128) >> 8);
    }
  }
  image.channels = channels;
  image.pixels = std::move(pixels);
  return image;
}

Image resize(const Image& image, int height, int width) {
  if (height < 1 || width < 1) throw ShapeError(concat("resize: a picture cannot be ", height, "x", width));
  if (height == image.height && width == image.width) return image;
  if (image.pixels.empty()) throw ShapeError("resize: the picture is empty");
  Image resized{height, width, image.channels, {}};
  resized.pixels.resize(static_cast<std::size_t>(height) * width * image.channels);
  const int done = stbir_resize_uint8_generic(
      image.pixels.data(), image.width, image.height, 0, resized.pixels.data(), width, height, 0, image.channels,
      STBIR_ALPHA_CHANNEL_NONE, 0, STBIR_EDGE_CLAMP, STBIR_FILTER_TRIANGLE, STBIR_COLORSPACE_LINEAR, nullptr);
  if (done == 0) throw Error(concat("resize: no memory for a picture of ", height, "x", width));
  return resized;
}

}  // namespace gemel
