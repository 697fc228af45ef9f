// SPDX-License-Identifier: MIT
//
// Folders of pictures, cuts of data sets, and the preprocessing that goes with a model.
#include "siamese/dataset.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "tests/siamese/support.h"

namespace gemel {
namespace {

std::string flat_pgm(std::uint8_t value, int width = 3, int height = 2) {
  return pgm(width, height, std::vector<std::uint8_t>(static_cast<std::size_t>(width * height), value));
}

TEST(Folder, OneSubFolderAnIdentity) {
  const TemporaryFolder folder;
  put_file(folder / "bob/2.pgm", flat_pgm(22));
  put_file(folder / "bob/10.pgm", flat_pgm(11));
  put_file(folder / "alice/x.PGM", flat_pgm(33));
  put_file(folder / "group/carol/1.pgm", flat_pgm(44));
  // None of these is a picture of an identity.
  put_file(folder / "loose.pgm", flat_pgm(99));
  put_file(folder / "bob/notes.txt", "not a picture");
  put_file(folder / "bob/.hidden.pgm", flat_pgm(99));
  put_file(folder / ".git/picture.pgm", flat_pgm(99));
  put_file(folder / "empty/readme.md", "no pictures");
  const Dataset data = load_dataset(path_of(folder));
  EXPECT_EQ(data.identities, (std::vector<std::string>{"alice", "bob", "group/carol"}));
  EXPECT_EQ(data.labels, (std::vector<std::int32_t>{0, 1, 1, 2}));
  ASSERT_EQ(data.size(), 4);
  EXPECT_EQ(data.height, 2);
  EXPECT_EQ(data.width, 3);
  EXPECT_EQ(data.channels, 1);
  for (int i = 0; i < 4; ++i) {
    const std::uint8_t want[] = {33, 11, 22, 44};
    for (const std::uint8_t x : data.image(i)) EXPECT_EQ(x, want[i]) << i;
  }
  ASSERT_EQ(data.files.size(), 4u);
  EXPECT_EQ(data.files[1], (folder / "bob/10.pgm").string());
  EXPECT_EQ(load_dataset(path_of(folder), {.limit = 1}).size(), 3);
}

TEST(Folder, ResizesToTheFirstAndMixesColour) {
  const TemporaryFolder folder;
  put_file(folder / "a/1.pgm", flat_pgm(50, 5, 4));
  put_file(folder / "b/1.pgm", flat_pgm(60, 9, 11));
  EXPECT_EQ(load_dataset(path_of(folder)).pixels.size(), 2u * 5 * 4);
  put_file(folder / "b/2.ppm", "P6 1 1 255\n" + std::string("\x10\x20\x30", 3));
  const Dataset data = load_dataset(path_of(folder));
  EXPECT_EQ(data.channels, 3);
  ASSERT_EQ(data.pixels.size(), 3u * 5 * 4 * 3);
  EXPECT_EQ(data.image(1)[0], 60);
  EXPECT_EQ(data.image(2)[2], 0x30);
  const Dataset grey = load_dataset(path_of(folder), {.height = 2, .width = 2, .channels = 1});
  EXPECT_EQ(grey.pixels.size(), 3u * 4);
}

TEST(Folder, TheSameOnAnyNumberOfLoads) {
  const TemporaryFolder folder;
  for (int i = 0; i < 61; ++i) put_file(folder / concat(i % 7, "/", i, ".pgm"), flat_pgm(static_cast<std::uint8_t>(i)));
  const Dataset once = load_dataset(path_of(folder)), again = load_dataset(path_of(folder));
  EXPECT_EQ(once.pixels, again.pixels);
  EXPECT_EQ(once.files, again.files);
  EXPECT_TRUE(std::is_sorted(once.labels.begin(), once.labels.end()));
}

TEST(Folder, Errors) {
  const TemporaryFolder folder;
  expect_input_error([&] { load_dataset((folder / "missing").string()); }, {"missing", "no such folder"});
  expect_input_error([&] { load_dataset(path_of(folder)); }, {path_of(folder), "no sub-folder holds pictures"});
  put_file(folder / "a/1.pgm", flat_pgm(1));
  expect_input_error([&] { load_dataset(path_of(folder)); }, {path_of(folder), "a single identity", "at least two"});
  expect_input_error([&] { load_dataset((folder / "a/1.pgm").string()); }, {"1.pgm", "not a folder"});
  put_file(folder / "b/1.pgm", flat_pgm(2));
  put_file(folder / "b/2.pgm", "");
  expect_input_error([&] { load_dataset(path_of(folder)); }, {(folder / "b/2.pgm").string(), "empty"});
  put_file(folder / "b/2.pgm", flat_pgm(3).substr(0, 14));
  expect_input_error([&] { load_dataset(path_of(folder)); }, {(folder / "b/2.pgm").string(), "cut short"});
  put_file(folder / "c/1.png", "no picture");
  expect_input_error([&] { load_dataset(path_of(folder), {.channels = 1}); }, {"b/2.pgm", "1 more"});
}

TEST(Folder, LinksAreFollowedButNotInCircles) {
  const TemporaryFolder folder;
  put_file(folder / "real/a/1.pgm", flat_pgm(1));
  put_file(folder / "real/b/1.pgm", flat_pgm(2));
  fs::create_directory(folder / "linked");
  fs::create_directory_symlink(folder / "real/a", folder / "linked/x");
  fs::create_directory_symlink(folder / "real/b", folder / "linked/y");
  EXPECT_EQ(load_dataset((folder / "linked").string()).identities, (std::vector<std::string>{"x", "y"}));
  fs::create_directory_symlink(folder / "linked", folder / "linked/z");
  expect_input_error([&] { load_dataset((folder / "linked").string()); }, {"linked/z", "a folder that it lies in"});
}

TEST(Folder, OrlFaces) {
  const char* root = std::getenv("GEMEL_DATA");
  if (root == nullptr) GTEST_SKIP() << "set GEMEL_DATA to the folder that holds orl_faces to run this";
  // Copies of the set come with a stray picture of another kind here and there: they are loaded, and not counted here.
  const Dataset data =
      load_dataset((fs::path(root) / "orl_faces").string(), {.height = 112, .width = 92, .channels = 1});
  EXPECT_EQ(data.identities.size(), 40u);
  std::vector<int> photographs(40, 0);
  for (int i = 0; i < data.size(); ++i) {
    if (data.files[static_cast<std::size_t>(i)].ends_with(".pgm"))
      ++photographs[static_cast<std::size_t>(data.labels[i])];
  }
  EXPECT_EQ(photographs, std::vector<int>(40, 10));
  EXPECT_EQ(data.pixels.size(), data.labels.size() * 112 * 92);
}

TEST(Cuts, SubsetRenumbersLabels) {
  const Dataset data = patterns(5, 3, 2, 2, 1);
  const std::vector<int> rows{13, 4, 12, 3};
  const Dataset part = data.subset(rows);
  EXPECT_EQ(part.labels, (std::vector<std::int32_t>{1, 0, 1, 0}));
  EXPECT_EQ(part.identities, (std::vector<std::string>{"identity1", "identity4"}));
  EXPECT_TRUE(std::ranges::equal(part.image(1), data.image(4)));
  EXPECT_THROW(data.subset(std::vector<int>{15}), Error);
  EXPECT_THROW(data.subset(std::vector<int>{-1}), Error);
}

TEST(Cuts, SplitIdentitiesSharesNone) {
  const Dataset data = patterns(11, 3, 2, 2, 1);
  const auto [rest, held] = data.split_identities(0.3, 5);
  EXPECT_EQ(rest.identities.size(), 8u);
  EXPECT_EQ(held.identities.size(), 3u);
  EXPECT_EQ(rest.size() + held.size(), data.size());
  std::set<std::string> all(rest.identities.begin(), rest.identities.end());
  for (const std::string& name : held.identities) EXPECT_TRUE(all.insert(name).second) << name;
  EXPECT_EQ(data.split_identities(0.3, 5).second.identities, held.identities);
  EXPECT_NE(data.split_identities(0.3, 6).second.identities, held.identities);
  EXPECT_EQ(data.split_identities(0.01, 5).second.identities.size(), 2u);
  EXPECT_EQ(data.split_identities(0.99, 5).first.identities.size(), 2u);
  expect_input_error([&] { data.split_identities(1, 5); }, {"patterns", "between 0 and 1"});
  expect_input_error([&] { data.split_identities(std::nan(""), 5); }, {"between 0 and 1"});
  expect_input_error([&] { patterns(3, 3, 2, 2, 1).split_identities(0.5, 5); }, {"3 identities", "at least 4"});
}

TEST(Cuts, SplitImagesOfEachIdentity) {
  const Dataset data = patterns(4, 10, 2, 2, 1);
  const auto [rest, held] = data.split_images(0.3, 5);
  for (int label = 0; label < 4; ++label) {
    EXPECT_EQ(std::count(rest.labels.begin(), rest.labels.end(), label), 7);
    EXPECT_EQ(std::count(held.labels.begin(), held.labels.end(), label), 3);
  }
  EXPECT_EQ(data.split_images(0.99, 5).first.size(), 4);  // one image of each stays
  expect_input_error([&] { data.split_images(0.01, 5); }, {"too few images"});
}

TEST(Cuts, QuarterTurnsAreNewIdentities) {
  const Dataset data = patterns(2, 3, 3, 3, 1);
  const Dataset turned = data.with_quarter_turns();
  EXPECT_EQ(turned.size(), 4 * data.size());
  ASSERT_EQ(turned.identities.size(), 8u);
  EXPECT_EQ(turned.identities[5], "identity1 turned by 180");
  for (int turn = 0; turn < 4; ++turn) {
    for (int i = 0; i < data.size(); ++i) {
      const int row = turn * data.size() + i;
      EXPECT_EQ(turned.labels[static_cast<std::size_t>(row)], data.labels[static_cast<std::size_t>(i)] + 2 * turn);
      for (int y = 0; y < 3; ++y) {
        for (int x = 0; x < 3; ++x) {  // where a pixel comes from
          const int from[4][2] = {{y, x}, {x, 2 - y}, {2 - y, 2 - x}, {2 - x, y}};
          EXPECT_EQ(turned.image(row)[static_cast<std::size_t>(3 * y + x)],
                    data.image(i)[static_cast<std::size_t>(3 * from[turn][0] + from[turn][1])])
              << turn << " " << i << " " << y << " " << x;
        }
      }
    }
  }
  expect_input_error([] { patterns(2, 2, 3, 4, 1).with_quarter_turns(); }, {"3x4", "square"});
}

TEST(Statistics, MeanAndDeviation) {
  Dataset data;
  data.height = 1;
  data.width = 2;
  data.channels = 3;
  data.labels = {0, 1};
  data.pixels = {0, 51, 9, 255, 51, 9, 0, 102, 9, 255, 102, 9};
  const Preprocessing p = data.statistics();
  EXPECT_NEAR(p.mean[0], 0.5, 1e-6);
  EXPECT_NEAR(p.deviation[0], 0.5, 1e-6);
  EXPECT_NEAR(p.mean[1], 0.3, 1e-6);
  EXPECT_NEAR(p.deviation[1], 0.1, 1e-6);
  EXPECT_EQ(p.deviation[2], 1);  // constant
  const ImageShape shape = p.shape(7);
  EXPECT_EQ(shape.n, 7);
  EXPECT_EQ(shape.c, 3);
  EXPECT_EQ(shape.mean[1], p.mean[1]);
  EXPECT_EQ(shape.deviation[2], 1);
}

TEST(PreprocessingText, ComesBackExactly) {
  const Preprocessing p{28, 31, 3, {0.1F, 1.0F / 3, 0.7F}, {0.3F, 1e-7F, 1}};
  const Preprocessing q = Preprocessing::parse(p.text(), "file");
  EXPECT_EQ(q.height, p.height);
  EXPECT_EQ(q.width, p.width);
  EXPECT_EQ(q.channels, p.channels);
  EXPECT_EQ(q.mean, p.mean);
  EXPECT_EQ(q.deviation, p.deviation);
}

TEST(PreprocessingText, DamageIsNamed) {
  for (const char* text :
       {"", "[]", "{", R"({"height":2})", R"({"height":0,"width":2,"channels":1,"mean":[0],"deviation":[1]})",
        R"({"height":2,"width":2,"channels":2,"mean":[0,0],"deviation":[1,1]})",
        R"({"height":2,"width":2,"channels":1,"mean":[0,0],"deviation":[1]})",
        R"({"height":2,"width":2,"channels":1,"mean":[0],"deviation":[0]})",
        R"({"height":2,"width":2,"channels":1,"mean":[1e300],"deviation":[1]})",
        R"({"height":"2","width":2,"channels":1,"mean":[0],"deviation":[1]})"}) {
    SCOPED_TRACE(text);
    expect_input_error([&] { Preprocessing::parse(text, "model.safetensors"); },
                       {"model.safetensors", "preprocessing"});
  }
}

}  // namespace
}  // namespace gemel
