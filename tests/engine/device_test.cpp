// SPDX-License-Identifier: MIT
//
// Names, copies, counters, events, and recorded work.
#include "engine/device.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "tests/engine/device_fixture.h"

namespace gemel {
namespace {

bool same(const Counters& a, const Counters& b) {
  return a.allocations == b.allocations && a.frees == b.frees && a.downloads == b.downloads &&
         a.synchronizations == b.synchronizations && a.uploads == b.uploads && a.launches == b.launches &&
         a.graph_launches == b.graph_launches;
}

std::string text(const Counters& c) {
  return concat("allocations ", c.allocations, ", frees ", c.frees, ", downloads ", c.downloads, ", synchronizations ",
                c.synchronizations, ", uploads ", c.uploads, ", launches ", c.launches, ", graph launches ",
                c.graph_launches);
}

TEST(OpenDevice, UnknownNamesListTheKnown) {
  for (const char* name : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cpu:0", "CPU", "cuda:99999999999"}) {
    const std::string message = message_of<InputError>([&] { open_device(name); });
    EXPECT_NE(message.find("cuda, cuda:N, cpu and simt"), std::string::npos) << message;
  }
}

TEST(OpenDevice, AbsentCudaSaysWhy) {
  const std::string message = message_of<DeviceError>([] { open_device("cuda:4096"); });
  EXPECT_EQ(message.rfind("cuda", 0), 0u) << message;
  EXPECT_GT(message.size(), 30u) << message;
}

TEST(OpenDevice, AutoIsCudaWhereItWorksElseCpu) {
  std::string expected = "cpu";
  for (const DeviceReport& report : list_devices()) {
    if (report.name == "cuda:0" && report.available) expected = "cuda:0";
  }
  EXPECT_EQ(open_device("auto")->name(), expected);
}

TEST(ListDevices, NamesEveryKindOnceAndDescribesIt) {
  std::set<std::string> names;
  for (const DeviceReport& report : list_devices()) {
    EXPECT_TRUE(names.insert(report.name).second) << report.name;
    EXPECT_FALSE(report.description.empty()) << report.name;
    if (report.name == "cpu" || report.name == "simt") {
      EXPECT_TRUE(report.available);
      EXPECT_NE(report.description.find("threads"), std::string::npos) << report.description;
    }
  }
  EXPECT_EQ(names.count("cpu") + names.count("simt"), 2u);
  EXPECT_TRUE(std::any_of(names.begin(), names.end(), [](const auto& name) { return name.rfind("cuda", 0) == 0; }));
}

class Devices : public DeviceTest {
 protected:
  // A chain in which a missing piece, or another order, would show: y = sigmoid(x), x = y, y[0] = 0.
  std::function<void()> chain(float* x, float* y, std::size_t count) {
    return [this, x, y, count] {
      const Kernels& kernels = device_->kernels();
      kernels.activation_forward(device_->queue(stream_), Activation::sigmoid, count, x, y);
      device_->copy(stream_, x, y, count * sizeof(float));
      device_->fill_zero(stream_, y, sizeof(float));
    };
  }
};
INSTANTIATE_TEST_SUITE_P(All, Devices, testing::ValuesIn(test_devices()), device_test_name);

TEST_P(Devices, NameLeadsBackToIt) {
  EXPECT_EQ(device_->name().rfind(GetParam(), 0), 0u);
  EXPECT_EQ(open_device(device_->name())->name(), device_->name());
  EXPECT_FALSE(device_->description().empty());
  EXPECT_EQ(device_->on_host(), stream_.native() == nullptr);
  EXPECT_EQ(device_->queue(stream_).stream, stream_.native());
}

TEST_P(Devices, OpensWithCountersAtZero) { EXPECT_TRUE(same(device_->counters(), {})) << text(device_->counters()); }

TEST_P(Devices, CopiesInStreamOrder) {
  std::vector<float> values(1009, 3);
  const Buffer a = uploaded(values), b(*device_, a.bytes());
  std::fill(values.begin(), values.end(), 4);  // the upload is done with it
  device_->copy(stream_, b.data(), a.data(), a.bytes());
  device_->fill_zero(stream_, a.data(), 31 * sizeof(float));
  EXPECT_EQ(downloaded(b.f32(), 1009), std::vector<float>(1009, 3));
  std::vector<float> expected(1009, 3);
  std::fill(expected.begin(), expected.begin() + 31, 0);
  EXPECT_EQ(downloaded(a.f32(), 1009), expected);
}

TEST_P(Devices, CountersCountWhatTheySay) {
  Counters expected;
  const auto expect = [&](const char* after) {
    EXPECT_TRUE(same(device_->counters(), expected))
        << "after " << after << ": " << text(device_->counters()) << "\nexpected: " << text(expected);
  };
  void* memory = device_->allocate(256);
  ++expected.allocations;
  expect("allocate");
  float value = 1;
  device_->upload(stream_, memory, &value, sizeof(value));
  ++expected.uploads;
  expect("upload");
  device_->fill_zero(stream_, memory, 4);
  device_->copy(stream_, static_cast<char*>(memory) + 64, memory, 4);
  expect("fill_zero and copy");
  device_->download(stream_, &value, memory, sizeof(value));
  ++expected.downloads, ++expected.synchronizations;
  expect("download");
  stream_.synchronize();
  ++expected.synchronizations;
  expect("synchronize");
  Event event = device_->make_event();
  event.record(stream_);
  expect("an event");
  event.wait();
  ++expected.synchronizations;
  expect("waiting for an event");
  auto* x = static_cast<float*>(memory);
  device_->kernels().activation_forward(device_->queue(stream_), Activation::relu, 31, x, x);
  // On `cpu` the entry may be native code, which is no launch.
  expected.launches = device_->name() == "cpu" ? device_->counters().launches : expected.launches + 1;
  expect("a kernel");
  Graph graph = device_->record(
      stream_, [&] { device_->kernels().activation_forward(device_->queue(stream_), Activation::relu, 31, x, x); });
  expect("recording");
  graph.replay(stream_);
  graph.replay(stream_);
  expected.graph_launches += 2;
  expect("two replays");
  device_->upload(stream_, memory, &value, 0);
  device_->download(stream_, &value, memory, 0);
  device_->free(nullptr);
  EXPECT_EQ(device_->allocate(0), nullptr);
  expect("nothing");
  device_->free(memory);
  ++expected.frees;
  expect("free");
}

TEST_P(Devices, EventsTellTheTimeBetween) {
  Event first = device_->make_event(), second = device_->make_event();
  const Buffer x = uploaded(std::vector<float>(4099, 1));
  first.record(stream_);
  device_->kernels().activation_forward(device_->queue(stream_), Activation::sigmoid, 4099, x.f32(), x.f32());
  second.record(stream_);
  second.wait();
  EXPECT_TRUE(second.seconds_since(first) > 0) << second.seconds_since(first);
  Event never = device_->make_event();
  message_of<DeviceError>([&] { second.seconds_since(never); });
}

TEST_P(Devices, ReplayDoesWhatTheDirectRunDoes) {
  constexpr std::size_t kCount = 1031;
  std::vector<float> start(kCount);
  for (std::size_t i = 0; i < kCount; ++i) start[i] = std::sin(static_cast<float>(i));
  const Buffer x = uploaded(start), y = uploaded(start), u = uploaded(start), v = uploaded(start);
  const auto direct = chain(x.f32(), y.f32(), kCount);
  Graph graph = device_->record(stream_, chain(u.f32(), v.f32(), kCount));
  EXPECT_EQ(downloaded(u.f32(), kCount), start) << "recording must not run the work";
  for (int i = 0; i < 3; ++i) direct();
  EXPECT_NE(downloaded(x.f32(), kCount), start);
  for (int i = 0; i < 3; ++i) graph.replay(stream_);
  EXPECT_EQ(downloaded(u.f32(), kCount), downloaded(x.f32(), kCount));
  EXPECT_EQ(downloaded(v.f32(), kCount), downloaded(y.f32(), kCount));
  EXPECT_FALSE(static_cast<bool>(Graph()));
  EXPECT_TRUE(static_cast<bool>(graph));
}

TEST_P(Devices, RecordedWorkMayOnlyQueue) {
  const Buffer x = uploaded({1, 2, 3});
  float value = 0;
  const std::vector<std::pair<const char*, std::function<void()>>> forbidden{
      {"upload", [&] { device_->upload(stream_, x.data(), &value, 4); }},
      {"download", [&] { device_->download(stream_, &value, x.data(), 4); }},
      {"a wait", [&] { stream_.synchronize(); }},
      {"allocate", [&] { device_->allocate(4); }},
      {"record", [&] { device_->record(stream_, [] {}); }}};
  for (const auto& [what, work] : forbidden) {
    // A host device calls the work when it replays, cuda when it records.
    const std::string message = message_of<DeviceError>([&, &work = work] {
      Graph graph = device_->record(stream_, work);
      graph.replay(stream_);
    });
    EXPECT_NE(message.find(concat(what, " inside recorded work")), std::string::npos) << message;
    EXPECT_EQ(downloaded(x.f32(), 3), (std::vector<float>{1, 2, 3})) << "the device works on afterwards";
  }
}

TEST_P(Devices, AnExceptionOfTheWorkPassesThrough) {
  const std::string message = message_of<ShapeError>([&] {
    Graph graph = device_->record(stream_, [] { throw ShapeError("of the work"); });
    graph.replay(stream_);
  });
  EXPECT_EQ(message, "of the work");
  stream_.synchronize();
}

}  // namespace
}  // namespace gemel
