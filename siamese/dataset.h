// SPDX-License-Identifier: MIT
//
// Labelled images of one size as bytes, from IDX files or from a folder with one sub-folder an identity.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/buffer.h"

namespace gemel {

// An image as bytes, (H,W,C) row-major.
struct Image {
  int height = 0, width = 0, channels = 0;
  std::vector<std::uint8_t> pixels;
};

// Decodes PNG, JPEG, binary PGM/PPM, BMP. channels: 1 (luma, ITU-R BT.601), 3, or 0 = as in the file (grey, or RGB;
// alpha is composed over white); upright, as EXIF data tell (siamese/exif.h). Throws InputError naming the file: missing,
// empty, truncated, damaged, not an image, or larger than 64 megapixels by its header.
Image read_image(const std::filesystem::path& file, int channels);

// Resamples to height x width with a triangle filter (stb_image_resize): bilinear where it enlarges, a weighted average
// over the covered area where it shrinks. The same size gives the same bytes. Throws ShapeError on an empty size.
Image resize(const Image& image, int height, int width);

// How pictures become network input; stored with the model. Images are resized to (height, width), converted to
// `channels`.
struct Preprocessing {
  int height = 0, width = 0, channels = 0;
  std::vector<float> mean, deviation;  // per channel, of pixels / 255
  std::string text() const;            // JSON, for the model's metadata
  // Throws InputError naming `file_name`: not JSON, sizes out of range, a deviation that is not positive.
  static Preprocessing parse(const std::string& text, const std::string& file_name);
  ImageShape shape(int n) const;
};

struct Dataset {
  std::string source;  // as the user named it
  int height = 0, width = 0, channels = 0;
  std::vector<std::uint8_t> pixels;     // (N,H,W,C)
  std::vector<std::int32_t> labels;     // (N), 0..identities-1
  std::vector<std::string> identities;  // names: sub-folder, or the IDX label's number
  std::vector<std::string> files;       // (N) for folders; empty for IDX

  int size() const { return static_cast<int>(labels.size()); }
  std::size_t image_bytes() const { return static_cast<std::size_t>(height) * width * channels; }
  std::span<const std::uint8_t> image(int i) const { return {pixels.data() + image_bytes() * i, image_bytes()}; }
  // Mean and deviation of pixels / 255 a channel, for Preprocessing; a constant channel's deviation counts as 1.
  Preprocessing statistics() const;
  // Those rows, in that order; identities without a row are dropped and labels renumbered in the old order.
  Dataset subset(std::span<const int> rows) const;
  // The rows of those identities, by name, e.g. {"0", "3"} of an IDX file. Throws InputError naming one that is not there.
  Dataset only(std::span<const std::string> names) const;
  // Every image also turned by 90, 180 and 270 degrees (counter-clockwise), each turn of an identity a new identity: four times as much to
  // tell apart, for characters and the like (Santoro et al. 2016, sec. 4.1). Throws InputError unless height = width.
  Dataset with_quarter_turns() const;
  // {rest, held out}, for evaluation on identities never seen in training; at least two identities on either side.
  // Throws InputError where that cannot be, or unless 0 < held_out_share < 1.
  std::pair<Dataset, Dataset> split_identities(double held_out_share, std::uint64_t seed) const;
  // {rest, held out}: of each identity that share of its images, at least one stays in the rest. Throws InputError as
  // above, or when nothing would be held out.
  std::pair<Dataset, Dataset> split_images(double held_out_share, std::uint64_t seed) const;
};

struct LoadOptions {
  int height = 0, width = 0;  // 0: the first image's size; others are resized to it
  int channels = 0;           // 0: 1 if all images are grey, else 3
  int limit = 0;              // images an identity at most; 0: all
  bool quiet = true;          // false: a progress line on stderr when it is a terminal
};

// "idx:IMAGES,LABELS" (gzip or not), "idx:DIR" (= train) / "idx:DIR:train|test" (the usual four MNIST names, .gz or
// not), or a folder with one sub-folder an identity (nested folders: the path is the identity). Hidden files and what
// is not a picture by its ending are passed over, as are pictures outside any sub-folder; names are sorted, so the
// rows' order does not depend on the file system. Throws InputError naming the file and the fix: wrong magic, cut
// short, counts that differ, fewer than two identities, a damaged picture.
Dataset load_dataset(const std::string& source, const LoadOptions& options = {});

// The pictures of a folder and of each folder below it, as load_dataset finds them: those in the folder itself first,
// under the name "", then each sub-folder's under its path below it. Files are sorted. Throws InputError where there is
// no such folder.
struct PictureFolder {
  std::string name;
  std::vector<std::filesystem::path> files;
};
std::vector<PictureFolder> find_pictures(const std::string& folder);

// Decodes data.files into data.pixels and sets the size; the rest of `data` stays as it is. Throws InputError as
// load_dataset does.
void load_pictures(Dataset& data, const LoadOptions& options);

}  // namespace gemel
