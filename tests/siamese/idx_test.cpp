// SPDX-License-Identifier: MIT
//
// IDX files as they should be, and as damage, haste and malice leave them.
#include "siamese/idx.h"

#include <zlib.h>

#include "tests/siamese/support.h"

namespace gemel {
namespace {

std::string number(std::uint32_t value) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(value >> shift & 0xFF);
  return text;
}

std::string images_file(std::uint32_t count, std::uint32_t height, std::uint32_t width, std::size_t bytes) {
  std::string text = number(0x803) + number(count) + number(height) + number(width);
  for (std::size_t i = 0; i < bytes; ++i) text += static_cast<char>(i * 7 % 251);
  return text;
}
std::string labels_file(const std::string& labels) {
  return number(0x801) + number(static_cast<std::uint32_t>(labels.size())) + labels;
}

std::string gzip(const std::string& content) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, content.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// Five images of 3x2, labels 7 7 9 3 9.
class Idx : public ::testing::Test {
 protected:
  const std::string images_ = images_file(5, 3, 2, 30);
  const std::string labels_ = labels_file("\7\7\11\3\11");
  TemporaryFolder folder_;
  std::string source(const std::string& images, const std::string& labels) {
    put_file(folder_ / "images", images);
    put_file(folder_ / "labels", labels);
    return concat("idx:", (folder_ / "images").string(), ",", (folder_ / "labels").string());
  }
};

TEST_F(Idx, PlainAndGzipGiveTheSame) {
  for (const bool compressed : {false, true}) {
    SCOPED_TRACE(compressed ? "gzip" : "plain");
    const Dataset data = load_dataset(compressed ? source(gzip(images_), gzip(labels_)) : source(images_, labels_));
    EXPECT_EQ(data.size(), 5);
    EXPECT_EQ(data.height, 3);
    EXPECT_EQ(data.width, 2);
    EXPECT_EQ(data.channels, 1);
    EXPECT_EQ(data.labels, (std::vector<std::int32_t>{1, 1, 2, 0, 2}));
    EXPECT_EQ(data.identities, (std::vector<std::string>{"3", "7", "9"}));
    EXPECT_EQ(std::string(data.pixels.begin(), data.pixels.end()), images_.substr(16));
    EXPECT_TRUE(data.files.empty());
  }
}

TEST_F(Idx, FindsTheUsualNames) {
  put_file(folder_ / "train-images-idx3-ubyte.gz", gzip(images_));
  put_file(folder_ / "train-labels-idx1-ubyte", labels_);
  put_file(folder_ / "t10k-images.idx3-ubyte", images_file(2, 3, 2, 12));
  put_file(folder_ / "t10k-labels.idx1-ubyte", labels_file("\1\2"));
  const std::string folder = "idx:" + path_of(folder_);
  EXPECT_EQ(load_dataset(folder).size(), 5);
  EXPECT_EQ(load_dataset(folder + ":train").size(), 5);
  EXPECT_EQ(load_dataset(folder + ":test").size(), 2);
  expect_input_error([&] { load_dataset(folder + ":trian"); }, {"trian", "no such folder", "idx:DIR:test"});
  fs::remove(folder_ / "t10k-labels.idx1-ubyte");
  expect_input_error([&] { load_dataset(folder + ":test"); }, {path_of(folder_), "t10k-labels-idx1-ubyte.gz"});
}

TEST_F(Idx, OptionsLimitResizeAndColour) {
  const std::string files = source(images_, labels_);
  const Dataset limited = load_dataset(files, {.limit = 1});
  EXPECT_EQ(limited.labels, (std::vector<std::int32_t>{1, 2, 0}));
  EXPECT_EQ(limited.image(1)[0], static_cast<std::uint8_t>(images_[16 + 12]));
  const Dataset large = load_dataset(files, {.height = 31, .width = 33, .channels = 3});
  EXPECT_EQ(large.pixels.size(), 5u * 31 * 33 * 3);
  EXPECT_EQ(large.image(2)[0], large.image(2)[2]);
  expect_input_error([&] { load_dataset(files, {.height = 31}); }, {"both height and width"});
  expect_input_error([&] { load_dataset(files, {.channels = 2}); }, {"channels"});
  expect_input_error([&] { load_dataset(files, {.limit = -1}); }, {"limit"});
}

TEST_F(Idx, CutAnywhereIsNoticed) {
  for (const bool compressed : {false, true}) {
    const std::string whole = compressed ? gzip(images_) : images_;
    for (std::size_t length = 0; length < whole.size(); ++length) {
      SCOPED_TRACE(concat(compressed ? "gzip" : "plain", " cut to ", length, " of ", whole.size()));
      const std::string files = source(whole.substr(0, length), labels_);
      expect_input_error([&] { load_dataset(files); }, {(folder_ / "images").string()});
    }
    const std::string whole_labels = compressed ? gzip(labels_) : labels_;
    for (std::size_t length = 0; length < whole_labels.size(); ++length) {
      SCOPED_TRACE(concat("labels cut to ", length));
      const std::string files = source(images_, whole_labels.substr(0, length));
      expect_input_error([&] { load_dataset(files); }, {(folder_ / "labels").string()});
    }
  }
}

// A flipped bit is an error, except among the few that pad the last byte of the compressed data: they mean nothing.
TEST_F(Idx, FlippedBitsOfGzipDataAreNoticed) {
  const std::string whole = gzip(images_);
  int unnoticed = 0;
  for (std::size_t bit = 80; bit < 8 * whole.size(); ++bit) {  // behind the header, whose time stamp means nothing
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    const std::string files = source(damaged, labels_);
    try {
      const Dataset data = load_dataset(files);
      ++unnoticed;
      EXPECT_EQ(std::string(data.pixels.begin(), data.pixels.end()), images_.substr(16)) << "bit " << bit;
    } catch (const InputError& error) {
      EXPECT_NE(std::string(error.what()).find((folder_ / "images").string()), std::string::npos) << error.what();
    }
  }
  EXPECT_LT(unnoticed, 8);
}

TEST_F(Idx, TrailingBytesAreNoticed) {
  for (const std::string& images : {images_ + "x", gzip(images_ + "x")}) {
    const std::string files = source(images, labels_);
    expect_input_error([&] { load_dataset(files); }, {"images", "behind the last entry"});
  }
}

TEST_F(Idx, WrongMagic) {
  const std::string swapped = source(labels_, images_);
  expect_input_error([&] { load_dataset(swapped); }, {"images", "holds labels, not images", "swapped"});
  std::string floats = images_;
  floats[2] = 0x0D;
  const std::string files = source(floats, labels_);
  expect_input_error([&] { load_dataset(files); }, {"images", "0x00000d03", "0x00000803"});
  const std::string text = source("this is no IDX file at all, but long enough", labels_);
  expect_input_error([&] { load_dataset(text); }, {"images", "not an IDX file"});
}

// A header alone must not make the reader allocate what it promises.
TEST_F(Idx, HugeCountsAreRefused) {
  for (const auto& [count, height, width] : {std::array<std::uint32_t, 3>{0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF},
                                             {0x7FFFFFFF, 16384, 16384},
                                             {5, 3, 0xFFFF},
                                             {0x10000000, 28, 28},
                                             {0, 28, 28},
                                             {5, 0, 2}}) {
    SCOPED_TRACE(concat(count, " x ", height, " x ", width));
    const std::string content = images_file(count, height, width, 30);
    for (const std::string& images : {content, gzip(content)}) {
      const std::string files = source(images, labels_);
      expect_input_error([&] { load_dataset(files); }, {(folder_ / "images").string()});
    }
  }
  const std::string many_labels = number(0x801) + number(0xFFFFFFFF) + "\1\2";
  const std::string files = source(images_, many_labels);
  expect_input_error([&] { load_dataset(files); }, {(folder_ / "labels").string(), "cannot hold"});
}

TEST_F(Idx, CountsMustAgree) {
  const std::string files = source(images_, labels_file("\1\2\3\4"));
  expect_input_error([&] { load_dataset(files); }, {"labels", "4 labels", "5 images", "do not belong together"});
}

TEST_F(Idx, OneIdentityIsTooFew) {
  const std::string files = source(images_, labels_file("\1\1\1\1\1"));
  expect_input_error([&] { load_dataset(files); }, {"labels", "at least two identities"});
}

TEST_F(Idx, MissingFiles) {
  expect_input_error([&] { load_dataset("idx:/no/such/images,/no/such/labels"); }, {"/no/such/images", "no such file"});
  const std::string files = source(images_, labels_);
  fs::remove(folder_ / "labels");
  expect_input_error([&] { load_dataset(files); }, {"labels", "no such file"});
  fs::create_directory(folder_ / "labels");
  expect_input_error([&] { load_dataset(files); }, {"labels", "is not a file"});
}

TEST(FashionMnist, LoadsAsPackaged) {
  const char* folder = "/usr/share/datasets/fashion-mnist";
  if (!fs::exists(folder)) GTEST_SKIP() << "install the package dataset-fashion-mnist to run this";
  const Dataset data = load_dataset(concat("idx:", folder, ":test"));
  EXPECT_EQ(data.size(), 10000);
  EXPECT_EQ(data.height, 28);
  EXPECT_EQ(data.width, 28);
  EXPECT_EQ(data.identities.size(), 10u);
  for (int label = 0; label < 10; ++label) EXPECT_EQ(std::count(data.labels.begin(), data.labels.end(), label), 1000);
  EXPECT_NEAR(data.statistics().mean[0], 0.2868, 1e-3);  // 0.2860 on the training part
}

}  // namespace
}  // namespace gemel
