// SPDX-License-Identifier: MIT
//
// Files written and read back bit by bit, parameters matched by name, and disks that fill up.
#include "engine/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <bit>
#include <csignal>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "tests/engine/device_fixture.h"
#include "tests/engine/temporary_folder.h"

namespace gemel {
namespace {

namespace fs = std::filesystem;

std::vector<std::uint32_t> bits(const std::vector<float>& values) {
  std::vector<std::uint32_t> bits;
  for (float value : values) bits.push_back(std::bit_cast<std::uint32_t>(value));
  return bits;
}

TensorFile example() {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kDenormal = std::numeric_limits<float>::denorm_min();
  TensorFile content;
  content.tensors["conv1.weight"] = {{2, 3}, {1, -0.0f, kInfinity, -kInfinity, kDenormal, 0.1f}};
  content.tensors["nan"] = {{2}, {std::bit_cast<float>(0x7FC01234u), std::bit_cast<float>(0xFF800001u)}};
  content.tensors["scalar"] = {{}, {3.5f}};
  content.tensors["none"] = {{3, 0}, {}};
  content.tensors["\"quoted\" \u00e9\n"] = {{1}, {2}};
  content.metadata = {{"network", "input 28x28x1\nconv 20 5x5\n"}, {"empty", ""}, {"\u00fc", "\\\"\t"}};
  return content;
}

TEST(Checkpoint, RoundTripIsBitExact) {
  const TemporaryFolder folder;
  const TensorFile written = example();
  write_tensors(folder / "model.safetensors", written);
  const TensorFile read = read_tensors(folder / "model.safetensors");
  EXPECT_EQ(read.metadata, written.metadata);
  ASSERT_EQ(read.tensors.size(), written.tensors.size());
  for (const auto& [name, tensor] : written.tensors) {
    ASSERT_EQ(read.tensors.count(name), 1u) << name;
    EXPECT_EQ(read.tensors.at(name).shape, tensor.shape) << name;
    EXPECT_EQ(bits(read.tensors.at(name).values), bits(tensor.values)) << name;
  }
  EXPECT_EQ(folder.size(), 1) << "the temporary file is gone";
}

TEST(Checkpoint, AFileOfNothingIsAFile) {
  const TemporaryFolder folder;
  write_tensors(folder / "empty", {});
  EXPECT_TRUE(read_tensors(folder / "empty").tensors.empty());
}

TEST(Checkpoint, BytesFollowTheFormat) {
  const TemporaryFolder folder;
  TensorFile content;
  content.tensors["b"] = {{1}, {2}};
  content.tensors["a"] = {{3}, {1, 2, 3}};
  content.metadata["k"] = "v";
  write_tensors(folder / "file", content);
  const std::string bytes = read_file(folder / "file");
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof(length));
  EXPECT_EQ(length % 8, 0u);
  ASSERT_EQ(bytes.size(), 8 + length + 4 * sizeof(float));
  const auto header = nlohmann::json::parse(bytes.substr(8, length));
  EXPECT_EQ(header, nlohmann::json::parse(R"({
    "__metadata__": {"k": "v"},
    "a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]},
    "b": {"dtype": "F32", "shape": [1], "data_offsets": [12, 16]}})"));
}

TEST(Checkpoint, ReplacesTheOldFileThroughALinkAndKeepsItsMode) {
  const TemporaryFolder folder;
  write_tensors(folder / "target", {});
  fs::permissions(folder / "target", fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("target", folder / "link");
  write_tensors(folder / "link", example());
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_EQ(read_tensors(folder / "target").tensors.size(), example().tensors.size());
  EXPECT_EQ(fs::status(folder / "target").permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(folder.size(), 2);
}

TEST(Checkpoint, RefusesToWriteWhatCannotBeRead) {
  const TemporaryFolder folder;
  const auto refused = [&](const TensorFile& content) {
    const std::string message = message_of<InputError>([&] { write_tensors(folder / "file", content); });
    EXPECT_NE(message.find("file: "), std::string::npos) << message;
    EXPECT_EQ(folder.size(), 0);
  };
  refused({.tensors = {{"a", {{2, 2}, {1, 2, 3}}}}, .metadata = {}});
  refused({.tensors = {{"__metadata__", {{1}, {1}}}}, .metadata = {}});
  refused({.tensors = {{"a\xff", {{1}, {1}}}}, .metadata = {}});
  refused({.tensors = {}, .metadata = {{"network", "\xc3"}}});
}

TEST(Checkpoint, SaysWhereItCannotWrite) {
  const TemporaryFolder folder;
  const auto message = [](const fs::path& file) {
    return message_of<InputError>([&] { write_tensors(file, example()); });
  };
  EXPECT_NE(message(folder / "no/such/folder").find("No such file or directory"), std::string::npos);
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);  // stands for /dev/null, which a broken check would replace
  EXPECT_NE(message(folder / "pipe").find("not a regular file"), std::string::npos);
  EXPECT_NE(message(folder / "").find("not a regular file"), std::string::npos);
  EXPECT_TRUE(fs::is_fifo(folder / "pipe")) << "what is no regular file must not be replaced";
}

// Lets the process write files of at most `bytes` while it lives: a disk that fills up.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  void (*handler_)(int);
  rlimit before_{};
};

TEST(Checkpoint, AFullDiskLeavesTheOldFile) {
  const TemporaryFolder folder;
  const fs::path file = folder / "model.safetensors";
  write_tensors(file, example());
  const std::string before = read_file(file);
  TensorFile larger = example();
  larger.tensors["large"] = {{100, 100}, std::vector<float>(10000, 1)};
  for (rlim_t room : {0, 5, 100, 4096, 20000}) {  // in the length, the header, the data
    std::string message;
    {
      const FileSizeLimit limit(room);
      message = message_of<InputError>([&] { write_tensors(file, larger); });
    }
    EXPECT_NE(message.find("model.safetensors: cannot write: "), std::string::npos) << message;
    EXPECT_EQ(read_file(file), before) << "room for " << room << " bytes";
    EXPECT_EQ(folder.size(), 1) << "the temporary file is gone";
  }
  write_tensors(file, larger);
  EXPECT_EQ(read_tensors(file).tensors.count("large"), 1u);
}

class ParameterFile : public DeviceTest {
 protected:
  void make_parameters(Parameters& parameters, std::uint64_t seed) {
    const Initializer he{.kind = Initializer::Kind::he_normal, .fan_in = 3};
    parameters.declare("conv1.weight", {31, 5, 5, 1}, he);
    parameters.declare("bn.mean", {7}, {.kind = Initializer::Kind::normal, .value = 1}, false);
    parameters.declare("conv1.bias", {31}, he);
    parameters.allocate(*device_, stream_, seed);
  }
  TensorFile saved(const Parameters& parameters) {
    TensorFile file;
    save_parameters(*device_, stream_, parameters, file);
    return file;
  }
  void load(const TensorFile& file, Parameters& parameters, bool allow_extra = false) {
    load_parameters(*device_, stream_, file, parameters, "model.safetensors", allow_extra);
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, ParameterFile, testing::ValuesIn(test_devices()), device_test_name);

TEST_P(ParameterFile, LoadsWhatWasSaved) {
  const TemporaryFolder folder;
  Parameters from, to;
  make_parameters(from, 1);
  make_parameters(to, 2);
  const auto values = downloaded(from.values(), from.count());
  ASSERT_NE(downloaded(to.values(), to.count()), values);
  write_tensors(folder / "model", saved(from));
  const std::uint64_t uploads = device_->counters().uploads;
  load(read_tensors(folder / "model"), to);
  EXPECT_EQ(device_->counters().uploads, uploads + 1);
  EXPECT_EQ(bits(downloaded(to.values(), to.count())), bits(values));
  EXPECT_EQ(saved(to).tensors.at("conv1.weight").shape, (std::vector<std::int64_t>{31, 5, 5, 1}));
  EXPECT_EQ(saved(to).tensors.count("bn.mean"), 1u);
}

TEST_P(ParameterFile, NamesWhatDoesNotFitAndLoadsNothing) {
  Parameters parameters;
  make_parameters(parameters, 1);
  const auto before = downloaded(parameters.values(), parameters.count());
  TensorFile file = saved(parameters);
  for (auto& [name, tensor] : file.tensors) std::fill(tensor.values.begin(), tensor.values.end(), 9.0f);
  file.tensors.erase("bn.mean");
  file.tensors["conv1.bias"] = {{32}, std::vector<float>(32)};
  file.tensors["fc.weight"] = {{1}, {1}};
  const std::string message = message_of<InputError>([&] { load(file, parameters); });
  EXPECT_EQ(message,
            "model.safetensors: does not fit the network; missing: bn.mean; of another shape: conv1.bias (32 instead "
            "of 31); unknown: \"fc.weight\"");
  EXPECT_EQ(downloaded(parameters.values(), parameters.count()), before);
}

TEST_P(ParameterFile, ExtraTensorsAreAllowedWhereAsked) {
  Parameters parameters;
  make_parameters(parameters, 1);
  TensorFile file = saved(parameters);
  for (int i = 0; i < 9; ++i) file.tensors[concat("extra", i)] = {{1}, {1}};
  const std::string message = message_of<InputError>([&] { load(file, parameters); });
  EXPECT_NE(message.find("\"extra5\" and 3 more"), std::string::npos) << message;
  file.tensors["conv1.bias"].values[30] = 12;
  load(file, parameters, true);
  EXPECT_EQ(saved(parameters).tensors["conv1.bias"].values[30], 12);
}

TEST_P(ParameterFile, ValuesThatDoNotFillTheirShapeAreRefused) {
  Parameters parameters;
  make_parameters(parameters, 1);
  TensorFile file = saved(parameters);
  file.tensors["conv1.bias"].values.resize(100000);
  message_of<InputError>([&] { load(file, parameters); });
}

}  // namespace
}  // namespace gemel
