// SPDX-License-Identifier: MIT
//
// The gallery as a list, its file in good and bad shape, and the search against its definition.
#include "siamese/gallery.h"

#include <cmath>
#include <numeric>
#include <set>

#include "engine/checkpoint.h"
#include "siamese/model.h"
#include "tests/engine/devices.h"
#include "tests/siamese/twin_rig.h"

namespace gemel {
namespace {

Gallery small_gallery() {
  Gallery gallery("0123456789abcdef", 3);
  EXPECT_TRUE(gallery.add("anna", "a1.png", std::vector<float>{1, 2, 3}));
  EXPECT_TRUE(gallery.add("ben", "b1.png", std::vector<float>{4, 5, 6}));
  EXPECT_TRUE(gallery.add("anna", "a2.png", std::vector<float>{7, 8, 9}));
  EXPECT_TRUE(gallery.add("cleo", "a1.png", std::vector<float>{0, 0, 1}));
  return gallery;
}

std::vector<std::string> listed(const Gallery& gallery) {
  std::vector<std::string> lines;
  const auto d = static_cast<std::size_t>(gallery.embedding_size());
  for (int i = 0; i < gallery.size(); ++i) {
    lines.push_back(concat(gallery.name_of(i), " ", gallery.file_of(i), " ",
                           gallery.embeddings()[static_cast<std::size_t>(i) * d]));
  }
  return lines;
}

using Lines = std::vector<std::string>;

TEST(Gallery, AddsRenewsAndRemoves) {
  Gallery gallery = small_gallery();
  EXPECT_EQ(listed(gallery), (Lines{"anna a1.png 1", "ben b1.png 4", "anna a2.png 7", "cleo a1.png 0"}));
  EXPECT_FALSE(gallery.add("anna", "a2.png", std::vector<float>{70, 8, 9}));
  EXPECT_EQ(gallery.remove("dora"), 0);
  EXPECT_EQ(gallery.remove("anna"), 2);
  EXPECT_EQ(listed(gallery), (Lines{"ben b1.png 4", "cleo a1.png 0"}));
  EXPECT_EQ(gallery.people(), (Lines{"ben", "cleo"}));
  EXPECT_EQ(gallery.find("cleo"), 1);
  EXPECT_EQ(gallery.find("anna"), -1);
  EXPECT_FALSE(gallery.add("ben", "b1.png", std::vector<float>{40, 5, 6}));
  EXPECT_TRUE(gallery.add("anna", "b1.png", std::vector<float>{2, 2, 2}));
  EXPECT_EQ(listed(gallery), (Lines{"ben b1.png 40", "cleo a1.png 0", "anna b1.png 2"}));
  EXPECT_EQ(gallery.remove("anna") + gallery.remove("cleo") + gallery.remove("ben"), 3);
  EXPECT_EQ(gallery.size(), 0);
  EXPECT_TRUE(gallery.people().empty());
}

TEST(Gallery, RefusesWhatCannotBeHeld) {
  Gallery gallery = small_gallery();
  const std::vector<float> row{1, 2, 3};
  expect_input_error([&] { gallery.add("", "a.png", row); }, {"a.png", "empty"});
  expect_input_error([&] { gallery.add("unknown", "a.png", row); }, {"a.png", "unknown"});
  EXPECT_THROW(gallery.add("anna", "x.png", std::vector<float>{1, 2}), ShapeError);
  EXPECT_THROW(gallery.add("anna", "x.png", std::vector<float>{1, std::nanf(""), 3}), Error);
  EXPECT_THROW(Gallery("0", 0), ShapeError);
  EXPECT_EQ(gallery.size(), 4);
}

class GalleryFileTest : public testing::Test {
 protected:
  TemporaryFolder folder_;
  const fs::path file_ = folder_ / "people.gallery";

  void load_changed(const std::function<void(TensorFile&)>& change) {
    small_gallery().save(file_);
    TensorFile content = read_tensors(file_);
    change(content);
    write_tensors(file_, content);
    Gallery::load(file_);
  }
  void expect_refused(const std::function<void(TensorFile&)>& change, const std::string& part) {
    SCOPED_TRACE(part);
    expect_input_error([&] { load_changed(change); }, {file_.string(), part});
  }
};

TEST_F(GalleryFileTest, ComesBackAsItWas) {
  Gallery gallery = small_gallery();
  gallery.add("caf\xC3\xA9, \"x\"\n", "folder \xE9/1.png", std::vector<float>{0.1F, -0.0F, 1e-30F});
  gallery.save(file_);
  Gallery loaded = Gallery::load(file_);
  EXPECT_EQ(listed(loaded), listed(gallery));
  EXPECT_EQ(loaded.people(), gallery.people());
  EXPECT_EQ(loaded.file_of(4), "folder \xEF\xBF\xBD/1.png");
  EXPECT_FALSE(loaded.add("anna", "a2.png", std::vector<float>{3, 3, 3}));
  EXPECT_FALSE(loaded.add("caf\xC3\xA9, \"x\"\n", "folder \xE9/1.png", std::vector<float>{3, 3, 3}));
  loaded.require_model("0123456789abcdef", "f");
  expect_input_error([&] { loaded.require_model("0123456789abcdee", "f.gallery"); },
                     {"f.gallery", "another model", "0123456789abcdef"});
  Gallery("7", 2).save(file_);
  EXPECT_EQ(Gallery::load(file_).size(), 0);
  EXPECT_EQ(folder_.size(), 1);
  expect_input_error([&] { gallery.save("/no/such/folder/g"); }, {"/no/such/folder"});
}

TEST_F(GalleryFileTest, CutAnywhereIsNoticed) {
  small_gallery().save(file_);
  const std::string whole = read_file(file_);
  for (std::size_t length = 0; length < whole.size(); length += 1 + length / 31) {
    SCOPED_TRACE(concat("cut to ", length, " of ", whole.size()));
    put_file(file_, whole.substr(0, length));
    expect_input_error([&] { Gallery::load(file_); }, {file_.string()});
  }
  fs::remove(file_);
  expect_input_error([&] { Gallery::load(file_); }, {file_.string(), "no such file"});
}

TEST_F(GalleryFileTest, DamageIsNamed) {
  for (const char* key : {"gemel.gallery", "gemel.fingerprint", "gemel.people", "gemel.files"}) {
    expect_refused([&](TensorFile& c) { c.metadata.erase(key); }, key);
  }
  expect_refused([](TensorFile& c) { c.metadata["gemel.gallery"] = "2"; }, "format '2'");
  for (const char* list : {"", "{}", "[1]", "[\"a\"", "7"}) {
    expect_refused([&](TensorFile& c) { c.metadata["gemel.people"] = list; }, "gemel.people");
    expect_refused([&](TensorFile& c) { c.metadata["gemel.files"] = list; }, "gemel.files");
  }
  expect_refused([](TensorFile& c) { c.metadata["gemel.files"] = "[\"one\"]"; }, "names of files");
  expect_refused([](TensorFile& c) { c.metadata["gemel.people"] = "[\"a\",\"b\",\"a\"]"; }, "twice");
  expect_refused([](TensorFile& c) { c.metadata["gemel.people"] = "[\"a\",\"b\",\"\"]"; }, "empty");
  expect_refused([](TensorFile& c) { c.metadata["gemel.people"] = "[\"a\",\"b\",\"unknown\"]"; }, "unknown");
  expect_refused([](TensorFile& c) { c.metadata["gemel.people"] = "[\"a\",\"b\",\"c\",\"d\"]"; }, "no picture");
  for (const float person : {3.0F, -1.0F, 0.5F, 1e30F, std::nanf("")}) {
    expect_refused([&](TensorFile& c) { c.tensors["people"].values[1] = person; }, "person");
  }
  expect_refused([](TensorFile& c) { c.tensors["embeddings"].values[5] = INFINITY; }, "not finite");
  expect_refused([](TensorFile& c) { c.tensors["embeddings"] = {{12}, std::vector<float>(12)}; }, "dimensions");
  expect_refused([](TensorFile& c) { c.tensors["embeddings"] = {{3, 4}, std::vector<float>(12)}; }, "3 embeddings");
  expect_refused([](TensorFile& c) { c.tensors["people"] = {{4, 1}, std::vector<float>(4)}; }, "dimensions");
  expect_refused([](TensorFile& c) { c.tensors.erase("people"); }, "people");
  expect_refused([](TensorFile& c) { c.tensors.erase("embeddings"); }, "embeddings");
}

// What decides embeddings and distances changes the fingerprint, and nothing else does.
TEST(Gallery, FingerprintOfAModel) {
  auto device = open_device("cpu");
  const Preprocessing one{5, 5, 1, {0.5F}, {1}}, other{5, 5, 1, {0.25F}, {1}};
  auto fingerprint = [&](const char* text, const Preprocessing& preprocessing, std::uint64_t seed,
                         Metric::Kind metric) {
    return Model(Network::parse(text, "test"), preprocessing, *device, seed, metric).fingerprint();
  };
  const char* net = "input 5x5x1\nlinear 4\n";
  const auto l2 = Metric::Kind::euclidean;
  const std::set<std::string> all{
      fingerprint(net, one, 1, l2), fingerprint(net, one, 2, l2), fingerprint(net, other, 1, l2),
      fingerprint("input 5x5x1\nlinear 4\nrelu\n", one, 1, l2), fingerprint(net, one, 1, Metric::Kind::weighted_l1)};
  EXPECT_EQ(all.size(), 5u);
  for (const std::string& text : all) EXPECT_EQ(text.size(), 16u);

  TemporaryFolder folder;
  Model model(Network::parse(net, "test"), one, *device, 1);
  const std::string before = model.fingerprint();
  model.info.threshold = 7;
  model.info.trained = "for longer";
  model.save(folder / "m");
  auto simt = open_device("simt");
  EXPECT_EQ(Model::load(folder / "m", *simt).fingerprint(), before);
}

// ---- search
class GallerySearchTest : public testing::TestWithParam<std::string> {
 protected:
  static constexpr int kDim = 3;
  TwinRig rig_{GetParam(), "input 1x1x1\nlinear 3\n"};
  TwinEncoder encoder_{rig_.network, *rig_.device, Preprocessing{1, 1, 1, {0}, {1}}};
  Gallery gallery_{"0", kDim};
  std::vector<float> queries_;

  // Whole numbers in a small range: exact distances, many of them equal.
  void fill(int pictures, int people, int queries, int levels) {
    Random random(5, static_cast<std::uint64_t>(pictures));
    auto row = [&] {
      std::vector<float> values;
      for (int k = 0; k < kDim; ++k) values.push_back(static_cast<float>(random.below(levels)));
      return values;
    };
    for (int i = 0; i < pictures; ++i) gallery_.add(concat("p", random.below(people)), concat("f", i), row());
    for (int i = 0; i < queries; ++i) {
      for (const float x : row()) queries_.push_back(x);
    }
  }

  // By the definition: sorted by distance, then by index; for people, all but each one's first left out.
  std::vector<Neighbour> expected(std::size_t query, std::size_t k, bool people) const {
    std::vector<Neighbour> all;
    for (int i = 0; i < gallery_.size(); ++i) {
      double sum = 0;
      for (std::size_t j = 0; j < kDim; ++j) {
        const double difference =
            double{queries_[query * kDim + j]} - gallery_.embeddings()[static_cast<std::size_t>(i) * kDim + j];
        sum += difference * difference;
      }
      all.push_back({i, static_cast<float>(std::sqrt(sum))});
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const Neighbour& a, const Neighbour& b) { return a.distance < b.distance; });
    std::set<int> seen;
    if (people) {
      std::erase_if(all, [&](const Neighbour& n) { return !seen.insert(gallery_.person_of(n.picture)).second; });
    }
    all.resize(std::min(k, all.size()));
    return all;
  }

  void expect_found(const std::vector<std::vector<Neighbour>>& got, int k, bool people) {
    ASSERT_EQ(got.size(), queries_.size() / kDim);
    for (std::size_t q = 0; q < got.size(); ++q) {
      const std::vector<Neighbour> want = expected(q, static_cast<std::size_t>(k), people);
      ASSERT_EQ(got[q].size(), want.size()) << "query " << q;
      for (std::size_t i = 0; i < want.size(); ++i) {
        ASSERT_EQ(got[q][i].picture, want[i].picture) << "query " << q << " rank " << i;
        ASSERT_TRUE(std::abs(got[q][i].distance - want[i].distance) <= 1e-6 * (1 + want[i].distance));
      }
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, GallerySearchTest, testing::ValuesIn(test_devices()), device_test_name);

// k above kMostNearest takes the way by strips of the matrix.
TEST_P(GallerySearchTest, PicturesByDefinition) {
  fill(211, 31, 33, 5);
  GallerySearch search(encoder_, gallery_);
  for (const int k : {1, 7, kMostNearest, kMostNearest + 1, 211, 1000}) {
    SCOPED_TRACE(k);
    expect_found(search.pictures(queries_, k), k, false);
  }
}

// Few people with many pictures each: the nearest pictures are of fewer people than are asked for.
TEST_P(GallerySearchTest, PeopleByDefinition) {
  fill(211, 7, 13, 4);
  GallerySearch search(encoder_, gallery_);
  for (const int k : {1, 2, 7, 31}) {
    SCOPED_TRACE(k);
    expect_found(search.people(queries_, k), k, true);
  }
}

TEST_P(GallerySearchTest, QueriesDoNotDependOnEachOther) {
  fill(131, 7, 1027, 3);  // more than are searched at once
  GallerySearch search(encoder_, gallery_);
  const auto all = search.pictures(queries_, 5);
  for (const std::size_t q : {std::size_t{0}, std::size_t{1023}, std::size_t{1024}, std::size_t{1026}}) {
    const auto alone = search.pictures(std::span(queries_).subspan(q * kDim, kDim), 5);
    for (std::size_t i = 0; i < 5; ++i) {
      EXPECT_EQ(alone[0][i].picture, all[q][i].picture);
      EXPECT_EQ(alone[0][i].distance, all[q][i].distance);
    }
  }
}

TEST_P(GallerySearchTest, EmptyAndWrong) {
  EXPECT_EQ(GallerySearch(encoder_, gallery_).pictures(std::vector<float>{1, 2, 3}, 4).at(0).size(), 0u);
  EXPECT_EQ(GallerySearch(encoder_, gallery_).people(std::vector<float>{1, 2, 3}, 4).at(0).size(), 0u);
  fill(5, 2, 1, 9);
  GallerySearch search(encoder_, gallery_);
  EXPECT_TRUE(search.pictures({}, 3).empty());
  EXPECT_TRUE(search.people({}, 3).empty());
  EXPECT_THROW(search.pictures(std::vector<float>{1, 2}, 3), ShapeError);
  EXPECT_THROW(search.pictures(queries_, 0), Error);
  EXPECT_THROW(search.people(queries_, 0), Error);
  EXPECT_THROW(search.pictures(std::vector<float>{1, std::nanf(""), 2}, 1), Error);
  EXPECT_THROW(GallerySearch(encoder_, Gallery("0", 4)), ShapeError);
}

// By a metric with weights the nearest picture is another than by the Euclidean distance.
TEST_P(GallerySearchTest, WeightedMetric) {
  if (rig_.device->kernels().weighted_pairwise == nullptr) GTEST_SKIP() << "this build has no weighted distances";
  Model model(Network::parse("input 1x1x1\nlinear 2\n", "test"), Preprocessing{1, 1, 1, {0}, {1}}, *rig_.device, 1,
              Metric::Kind::weighted_l1);
  Parameters& parameters = model.network().parameters();
  const std::vector<float> weights{100, 1};
  for (std::size_t i = 0; i < parameters.entries().size(); ++i) {
    if (parameters.entries()[i].name != "metric.weight") continue;
    rig_.device->upload(model.encoder().stream(), parameters.writable(static_cast<ParamId>(i)), weights.data(), 8);
  }
  Gallery gallery("0", 2);
  gallery.add("near by l2", "a", std::vector<float>{1, 0});
  gallery.add("near by weight", "b", std::vector<float>{0, 5});
  gallery.add("twin", "c", std::vector<float>{0, 5});
  const auto found = GallerySearch(model.encoder(), gallery).pictures(std::vector<float>{0, 0}, 3).at(0);
  EXPECT_EQ(found[0].picture, 1);
  EXPECT_EQ(found[0].distance, 5);
  EXPECT_EQ(found[1].picture, 2);
  EXPECT_EQ(found[2].distance, 100);
}

}  // namespace
}  // namespace gemel
