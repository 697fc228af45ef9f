// SPDX-License-Identifier: MIT
//
// A model comes back from its file as it was, and a damaged file is named, on one line.
#include "siamese/model.h"

#include <cmath>
#include <span>

#include "engine/checkpoint.h"
#include "siamese/trainer.h"
#include "tests/engine/devices.h"
#include "tests/siamese/support.h"

namespace gemel {
namespace {

class ModelTest : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Device> device_ = open_device(GetParam());
  TemporaryFolder folder_;
  const fs::path file_ = folder_ / "model.safetensors";
  const Dataset data_ = patterns(3, 4, 7, 6, 5);

  Model fresh(std::uint64_t seed = 9) {
    return {Network::parse("input 7x6x1\nconv 3 3x3\nrelu\nlinear 5\n", "test"), data_.statistics(), *device_, seed};
  }
  // Loads the file after `change` was made to its content.
  void load_changed(const std::function<void(TensorFile&)>& change) {
    fresh().save(file_);
    TensorFile content = read_tensors(file_);
    change(content);
    write_tensors(file_, content);
    Model::load(file_, *device_);
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, ModelTest, testing::ValuesIn(test_devices()), device_test_name);

TEST_P(ModelTest, ComesBackAsItWas) {
  Model model = fresh();
  model.info.threshold = 0.1F;
  model.info.calibrated_on = "accuracy 0.93 on 10,000 pairs";
  model.info.trained = "patterns, \"quoted\", caf\xC3\xA9";
  model.save(file_);
  Model loaded = Model::load(file_, *device_);
  EXPECT_EQ(loaded.encoder().embed(data_), model.encoder().embed(data_));
  EXPECT_EQ(loaded.info.threshold, 0.1F);
  EXPECT_EQ(loaded.info.calibrated_on, model.info.calibrated_on);
  EXPECT_EQ(loaded.info.trained, model.info.trained);
  EXPECT_EQ(loaded.info.network, model.info.network);
  EXPECT_EQ(loaded.info.preprocessing.mean, model.info.preprocessing.mean);
  EXPECT_EQ(loaded.encoder().preprocessing().height, 7);
  EXPECT_NE(fresh(10).encoder().embed(data_), model.encoder().embed(data_));
  Model moved = std::move(loaded);
  EXPECT_EQ(moved.encoder().embed(data_), model.encoder().embed(data_));
}

// Training that goes on from a model starts where it ended and leaves what is frozen as it was, in the file too.
TEST_P(ModelTest, GoesOnFromAnother) {
  Model base = fresh();
  TrainOptions options{.loss = {.name = "softmax"}, .schedule = {.base = 0.01F}, .steps = 6, .p = 3, .k = 2};
  const auto loss = make_loss(options.loss);
  Model model(base, *device_, 77, *loss, 3, 1);
  EXPECT_EQ(model.encoder().embed(data_), base.encoder().embed(data_));
  Trainer(model.encoder(), data_, options).run({});
  model.save(file_);
  Model trained = Model::load(file_, *device_);
  EXPECT_EQ(trained.encoder().embed(data_), model.encoder().embed(data_));
  EXPECT_NE(trained.encoder().embed(data_), base.encoder().embed(data_));
  TensorFile before, after;
  save_parameters(*device_, base.encoder().stream(), base.network().parameters(), before);
  save_parameters(*device_, trained.encoder().stream(), trained.network().parameters(), after);
  ASSERT_EQ(before.tensors.size(), 4u);
  for (const auto& [name, tensor] : before.tensors) {
    EXPECT_EQ(after.tensors.at(name).values == tensor.values, name.starts_with("conv1.")) << name;
  }
}

// What batch normalisation learnt without being trained is in the file too.
TEST_P(ModelTest, RunningStatisticsAreSaved) {
  Model model{Network::parse("input 7x6x1\nconv 3 3x3\nbatchnorm\nrelu\nlinear 5\nbatchnorm\n", "test"),
              data_.statistics(), *device_, 9};
  const std::vector<float> untrained = model.encoder().embed(data_);
  TrainOptions options;
  options.steps = 3;
  options.pairs = 4;
  Trainer(model.encoder(), data_, options).run({});
  const std::vector<float> trained = model.encoder().embed(data_);
  EXPECT_NE(trained, untrained);
  model.save(file_);
  EXPECT_EQ(read_tensors(file_).tensors.count("batchnorm1.running_variance"), 1u);
  EXPECT_EQ(Model::load(file_, *device_).encoder().embed(data_), trained);
}

// The metric is the model's, the head only the training's.
TEST_P(ModelTest, KeepsTheMetricAndCutsTheHead) {
  auto trained_with = [&](const char* loss) {
    return Model(Network::parse("input 7x6x1\nconv 3 3x3\nrelu\nlinear 5\n", "test"), data_.statistics(), *device_, 9,
                 *make_loss({.name = loss}), 3);
  };
  for (const char* loss : {"koch", "chi2", "softmax", "arcface", "triplet"}) {
    SCOPED_TRACE(loss);
    Model model = trained_with(loss);
    const Parameters& parameters = model.network().parameters();
    const bool weighted = model.encoder().metric().kind() != Metric::Kind::euclidean;
    const bool has_head = parameters.find("head.weight") != nullptr;
    EXPECT_EQ(weighted, make_loss({.name = loss})->metric() != Metric::Kind::euclidean);
    EXPECT_EQ(has_head, loss == std::string("softmax") || loss == std::string("arcface"));
    if (weighted) {
      const std::vector<float> weights{0.5F, -1, 0, 2, 0.25F}, threshold{-0.75F};
      Parameters& written = model.network().parameters();
      Stream& stream = model.encoder().stream();
      device_->upload(stream, written.writable(written.id("metric.weight")), weights.data(), 5 * sizeof(float));
      device_->upload(stream, written.writable(written.id("metric.threshold")), threshold.data(), sizeof(float));
      EXPECT_EQ(model.encoder().metric().read_threshold(*device_, stream), -0.75F);
    }
    model.save(file_);
    for (const auto& [name, tensor] : read_tensors(file_).tensors) EXPECT_FALSE(name.starts_with(kHeadPrefix)) << name;
    Model loaded = Model::load(file_, *device_);
    EXPECT_EQ(loaded.encoder().metric().kind(), model.encoder().metric().kind());
    EXPECT_EQ(loaded.network().parameters().find("head.weight"), nullptr);
    const std::vector<float> e = loaded.encoder().embed(data_);
    EXPECT_EQ(e, model.encoder().embed(data_));
    const std::span<const float> all(e);
    const std::vector<float> distances = loaded.encoder().distances(all.first(25), all.subspan(5, 25));
    EXPECT_EQ(distances, model.encoder().distances(all.first(25), all.subspan(5, 25)));
    if (loss == std::string("koch")) {
      const float want = 0.5F * std::abs(e[0] - e[5]) - std::abs(e[1] - e[6]) + 2 * std::abs(e[3] - e[8]) +
                         0.25F * std::abs(e[4] - e[9]);
      EXPECT_NEAR(distances[0], want, 1e-5F);
    }
  }
}

// The data's folder may be named in any encoding; the model must not be lost over it.
TEST_P(ModelTest, NamesThatAreNotUtf8AreSaved) {
  Model model = fresh();
  model.info.trained = "folder \xE9t\xE9";
  model.save(file_);
  EXPECT_EQ(Model::load(file_, *device_).info.trained, "folder \xEF\xBF\xBDt\xEF\xBF\xBD");
}

TEST_P(ModelTest, CutAnywhereIsNoticed) {
  fresh().save(file_);
  const std::string whole = read_file(file_);
  for (std::size_t length = 0; length < whole.size(); length += 1 + length / 31) {
    SCOPED_TRACE(concat("cut to ", length, " of ", whole.size()));
    put_file(file_, whole.substr(0, length));
    expect_input_error([&] { Model::load(file_, *device_); }, {file_.string()});
  }
  fs::remove(file_);
  expect_input_error([&] { Model::load(file_, *device_); }, {file_.string()});
}

TEST_P(ModelTest, MissingMetadataIsNamed) {
  for (const char* key : {"gemel.format", "gemel.network", "gemel.preprocessing", "gemel.distance", "gemel.threshold",
                          "gemel.calibrated_on", "gemel.trained"}) {
    SCOPED_TRACE(key);
    expect_input_error([&] { load_changed([&](TensorFile& c) { c.metadata.erase(key); }); },
                       {file_.string(), key, "gemel train"});
  }
}

TEST_P(ModelTest, DamagedMetadataIsNamed) {
  auto with = [&](const std::string& key, const std::string& value) {
    return [this, key, value] { load_changed([&](TensorFile& c) { c.metadata[key] = value; }); };
  };
  const std::string name = file_.string();
  expect_input_error(with("gemel.format", "2"), {name, "format '2'"});
  expect_input_error(with("gemel.distance", "cosine"), {name, "cosine", "l2"});
  for (const char* number : {"", "abc", "0.5x", "nan", "inf", "1e999"}) {
    expect_input_error(with("gemel.threshold", number), {name, "gemel.threshold"});
  }
  expect_input_error(with("gemel.preprocessing", "{}"), {name, "preprocessing"});
  expect_input_error(with("gemel.preprocessing", R"({"height":7,"width":7,"channels":1,"mean":[0],"deviation":[1]})"),
                     {name, "7x7x1"});
  expect_input_error(with("gemel.network", "input 7x6x1\nlinear nonsense\n"), {name});
  expect_input_error(with("gemel.network", "input 2x2x1\nconv 3 3x3\nlinear 5\n"), {name});
  expect_input_error(with("gemel.network", "input 7x6x1\nconv 3 3x3\nrelu\nlinear 6\n"), {name, "its network takes"});
  // A gigantic network asks for no memory.
  expect_input_error(with("gemel.network", "input 7x6x1\nlinear 60000\nlinear 60000\nlinear 60000\n"), {name});
}

TEST_P(ModelTest, DamagedTensorsAreNamed) {
  const std::string name = file_.string();
  expect_input_error([&] { load_changed([](TensorFile& c) { c.tensors.erase(c.tensors.begin()); }); }, {name});
  expect_input_error([&] { load_changed([](TensorFile& c) { c.tensors["extra"] = {{2}, {1, 2}}; }); }, {name});
  expect_input_error(
      [&] {
        load_changed([](TensorFile& c) {  // another name, as many numbers
          auto node = c.tensors.extract(c.tensors.begin());
          node.key() = "renamed";
          c.tensors.insert(std::move(node));
        });
      },
      {name, "renamed"});
}

TEST_P(ModelTest, CannotBeSavedIntoNowhere) {
  Model model = fresh();
  expect_input_error([&] { model.save("/no/such/folder/model.safetensors"); }, {"/no/such/folder"});
}

}  // namespace
}  // namespace gemel
