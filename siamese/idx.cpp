// SPDX-License-Identifier: MIT
//
// IDX files through zlib, which reads plain files as they are.
#include "siamese/idx.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <numeric>
#include <string_view>

#include "engine/error.h"
#include "siamese/image.h"

namespace gemel {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kImagesMagic = 0x00000803, kLabelsMagic = 0x00000801;
constexpr std::uint64_t kMaxSide = 16384, kMaxCount = 0x7fffffff;
constexpr std::uint64_t kMaxDeflateRatio = 1032;  // https://zlib.net/zlib_tech.html, "Maximum Compression Factor"

// An IDX file being read; its errors name it.
class IdxFile {
 public:
  explicit IdxFile(const fs::path& path) : path_(path), file_(nullptr, gzclose) {
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (!fs::exists(status)) fail("no such file");
    if (!fs::is_regular_file(status)) fail("is not a file");
    bytes_ = fs::file_size(path, error);
    if (error) fail("cannot be read: " + error.message());
    file_.reset(gzopen(path.c_str(), "rb"));
    if (!file_) fail("cannot be opened; check its permissions");
    gzbuffer(file_.get(), 1 << 17);
  }

  [[noreturn]] void fail(const std::string& what) const { throw InputError(concat(path_.string(), ": ", what)); }

  std::uint32_t read_number() {
    std::array<std::uint8_t, 4> b{};
    read(b.data(), b.size());
    return std::uint32_t{b[0]} << 24 | std::uint32_t{b[1]} << 16 | std::uint32_t{b[2]} << 8 | b[3];
  }

  // The `count` bytes of data that follow a header of `header` bytes, and nothing after them.
  std::vector<std::uint8_t> read_rest(std::uint64_t header, std::uint64_t count) {
    const bool plain = gzdirect(file_.get()) != 0;
    const std::uint64_t most = plain ? bytes_ : bytes_ * kMaxDeflateRatio;
    if (header + count > most) {
      fail(concat("its header promises ", count, " bytes of data, which a file of ", bytes_,
                  " bytes cannot hold; it is cut short or damaged, get it again"));
    }
    std::vector<std::uint8_t> data(static_cast<std::size_t>(count));
    read(data.data(), data.size());
    std::uint8_t extra = 0;
    if (read_some(&extra, 1) != 0)
      fail("has data behind the last entry its header counts; it is damaged, get it again");
    return data;
  }

 private:
  void read(std::uint8_t* to, std::size_t count) {
    constexpr std::size_t kPiece = std::size_t{1} << 30;  // gzread counts in int
    while (count > 0) {
      const std::size_t done = read_some(to, std::min(count, kPiece));
      if (done == 0) fail("is cut short; get it again");
      to += done;
      count -= done;
    }
  }

  std::size_t read_some(std::uint8_t* to, std::size_t count) {
    const int done = gzread(file_.get(), to, static_cast<unsigned>(count));
    int code = Z_OK;
    const char* message = gzerror(file_.get(), &code);
    if (code == Z_BUF_ERROR) fail("the gzip data is cut short; get it again");
    if (done < 0 || (code != Z_OK && code != Z_STREAM_END)) {
      fail(concat("the gzip data is damaged (", message, "); get it again"));
    }
    return static_cast<std::size_t>(done);
  }

  fs::path path_;
  std::uintmax_t bytes_ = 0;
  std::unique_ptr<gzFile_s, int (*)(gzFile)> file_;
};

std::string hex(std::uint32_t value) {
  std::ostringstream out;
  out << "0x" << std::hex;
  out.width(8);
  out.fill('0');
  out << value;
  return out.str();
}

void check_magic(IdxFile& file, std::uint32_t want, std::uint32_t other, const char* kind, const char* other_kind) {
  const std::uint32_t magic = file.read_number();
  if (magic == want) return;
  if (magic == other) {
    file.fail(concat("holds ", other_kind, ", not ", kind, "; are the images' and the labels' files swapped?"));
  }
  file.fail(concat("is not an IDX file of ", kind, ": it starts with ", hex(magic), ", not ", hex(want)));
}

// The usual name of a part of the data set, plain or gzip, with either of the two spellings in use.
fs::path find_part(const fs::path& directory, const std::string& stem, const std::string& kind) {
  for (const char* separator : {"-", "."}) {
    for (const char* ending : {"", ".gz"}) {
      fs::path file = directory / concat(stem, separator, kind, "-ubyte", ending);
      if (fs::exists(file)) return file;
    }
  }
  throw InputError(concat(directory.string(), ": has no ", stem, "-", kind, "-ubyte or ", stem, "-", kind,
                          "-ubyte.gz; name the two files as idx:IMAGES,LABELS"));
}

std::pair<fs::path, fs::path> find_files(const std::string& source) {
  std::string directory = source;
  std::string stem = "train";
  if (!fs::is_directory(directory)) {
    const std::size_t colon = source.rfind(':');
    const std::string part = colon == std::string::npos ? "" : source.substr(colon + 1);
    if (part == "train" || part == "test") {
      directory = source.substr(0, colon);
      stem = part == "test" ? "t10k" : "train";
    } else if (const std::size_t comma = source.find(','); comma != std::string::npos) {
      return {source.substr(0, comma), source.substr(comma + 1)};
    }
  }
  if (!fs::is_directory(directory)) {
    throw InputError(
        concat("idx:", source, ": no such folder; use idx:DIR, idx:DIR:train, idx:DIR:test or idx:IMAGES,LABELS"));
  }
  return {find_part(directory, stem + "-images", "idx3"), find_part(directory, stem + "-labels", "idx1")};
}

}  // namespace

IdxImages read_idx_images(const fs::path& path) {
  IdxFile file(path);
  check_magic(file, kImagesMagic, kLabelsMagic, "images", "labels");
  const std::uint64_t count = file.read_number(), height = file.read_number(), width = file.read_number();
  if (count == 0 || height == 0 || width == 0)
    file.fail(concat("holds no images (", count, " of ", height, "x", width, ")"));
  if (count > kMaxCount || height > kMaxSide || width > kMaxSide) {
    file.fail(concat("its header is damaged: ", count, " images of ", height, "x", width));
  }
  IdxImages images{static_cast<int>(count), static_cast<int>(height), static_cast<int>(width), {}};
  images.pixels = file.read_rest(16, count * height * width);
  return images;
}

std::vector<std::uint8_t> read_idx_labels(const fs::path& path) {
  IdxFile file(path);
  check_magic(file, kLabelsMagic, kImagesMagic, "labels", "images");
  return file.read_rest(8, file.read_number());
}

Dataset load_idx(const std::string& source, const LoadOptions& options) {
  const auto [images_file, labels_file] = find_files(source);
  const IdxImages images = read_idx_images(images_file);
  const std::vector<std::uint8_t> raw_labels = read_idx_labels(labels_file);
  if (raw_labels.size() != static_cast<std::size_t>(images.count)) {
    throw InputError(concat(labels_file.string(), ": has ", raw_labels.size(), " labels for the ", images.count,
                            " images of ", images_file.string(), "; the two files do not belong together"));
  }

  std::array<int, 256> wanted{};  // images of each label
  std::vector<int> rows;
  for (int i = 0; i < images.count; ++i) {
    int& taken = wanted[raw_labels[static_cast<std::size_t>(i)]];
    if (options.limit != 0 && taken >= options.limit) continue;
    ++taken;
    rows.push_back(i);
  }
  Dataset data;
  data.source = "idx:" + source;
  data.height = options.height != 0 ? options.height : images.height;
  data.width = options.width != 0 ? options.width : images.width;
  data.channels = options.channels != 0 ? options.channels : 1;
  std::array<std::int32_t, 256> identity{};
  for (int label = 0; label < 256; ++label) {
    if (wanted[static_cast<std::size_t>(label)] == 0) continue;
    identity[static_cast<std::size_t>(label)] = static_cast<std::int32_t>(data.identities.size());
    data.identities.push_back(std::to_string(label));
  }
  if (data.identities.size() < 2) {
    throw InputError(concat(labels_file.string(), ": all labels are equal; at least two identities are needed"));
  }

  const bool as_is = data.height == images.height && data.width == images.width && data.channels == 1;
  const std::size_t from_bytes = static_cast<std::size_t>(images.height) * images.width;
  data.pixels.resize(rows.size() * data.image_bytes());
  data.labels.reserve(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto row = static_cast<std::size_t>(rows[i]);
    const std::uint8_t* from = images.pixels.data() + row * from_bytes;
    std::uint8_t* to = data.pixels.data() + i * data.image_bytes();
    if (as_is) {
      std::copy_n(from, from_bytes, to);
    } else {
      const Image image{images.height, images.width, 1, {from, from + from_bytes}};
      const Image fitted = to_channels(resize(image, data.height, data.width), data.channels);
      std::copy(fitted.pixels.begin(), fitted.pixels.end(), to);
    }
    data.labels.push_back(identity[raw_labels[row]]);
  }
  return data;
}

}  // namespace gemel
