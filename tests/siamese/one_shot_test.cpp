// SPDX-License-Identifier: MIT
//
// One-shot trials and lists of pairs: what is right, and files in bad shape.
#include "siamese/one_shot.h"

#include <cstdlib>

#include "siamese/lfw.h"
#include "siamese/twin_encoder.h"
#include "tests/engine/devices.h"
#include "tests/siamese/twin_rig.h"

namespace gemel {
namespace {

// One grey pixel a picture, and an encoder that passes it on.
class OneShotTest : public testing::Test {
 protected:
  TwinRig rig_{"cpu", "input 1x1x1\nlinear 1\n"};
  TwinEncoder encoder_{rig_.network, *rig_.device, Preprocessing{1, 1, 1, {0}, {1}}};
  TemporaryFolder folder_;

  OneShotTest() {
    std::vector<float> values(rig_.count(), 0);
    values[0] = 1;
    rig_.set_values(values);
  }
  void picture(const std::string& name, int grey) {
    put_file(folder_ / name, pgm(1, 1, {static_cast<std::uint8_t>(grey)}));
  }
  void list(const std::string& run, const std::string& text) { put_file(folder_ / (run + "/class_labels.txt"), text); }
  OneShot measure() { return one_shot(encoder_, path_of(folder_)); }
  void expect_refused(const std::string& text, const std::vector<std::string>& parts) {
    SCOPED_TRACE(text);
    list("run1", text);
    expect_input_error([&] { measure(); }, parts);
  }
};

TEST_F(OneShotTest, ByHand) {
  picture("run1/test/a.pgm", 10), picture("run1/test/b.pgm", 100), picture("run1/test/c.pgm", 104);
  picture("run1/training/a.pgm", 12), picture("run1/training/b.pgm", 102), picture("run1/training/c.pgm", 200);
  list("run1",
       "run1/test/a.pgm run1/training/a.pgm\r\nrun1/test/b.pgm\trun1/training/b.pgm\n\n"
       "run1/test/c.pgm run1/training/c.pgm\n");  // c is nearest to b's
  picture("run2/test/a.pgm", 10), picture("run2/test/b.pgm", 50);
  picture("run2/training/a.pgm", 0), picture("run2/training/b.pgm", 20);
  list("run2", "run2/test/a.pgm run2/training/a.pgm\nrun2/test/b.pgm run2/training/b.pgm\n");  // a: as near to b's
  picture("notes/a.pgm", 1);
  const OneShot result = measure();
  ASSERT_EQ(result.runs.size(), 2u);
  EXPECT_EQ(result.runs[0].name, "run1");
  EXPECT_EQ(result.runs[0].ways, 3);
  EXPECT_EQ(result.runs[0].trials, 3);
  EXPECT_EQ(result.runs[0].right, 2);
  EXPECT_EQ(result.runs[1].ways, 2);
  EXPECT_EQ(result.runs[1].right, 1);
  EXPECT_EQ(result.trials, 5);
  EXPECT_NEAR(result.accuracy, (2.0 / 3 + 1.0 / 2) / 2, 1e-15);
  // +- t(0.975, 1) * deviation / sqrt(2) = 12.706 * 0.11785 / 1.41421, cut off at 0 and 1.
  ASSERT_TRUE(result.interval.has_value());
  EXPECT_EQ(result.interval->low, 0);
  EXPECT_EQ(result.interval->high, 1);
  fs::remove_all(folder_ / "run2");
  EXPECT_FALSE(measure().interval.has_value());
}

// An encoder that outputs a constant scores nothing, wherever the true class stands.
TEST_F(OneShotTest, TiesAreWrong) {
  rig_.set_values(std::vector<float>(rig_.count(), 0));
  std::string text;
  for (int i = 0; i < 20; ++i) {
    picture(concat("run1/test/", i, ".pgm"), i), picture(concat("run1/training/", i, ".pgm"), i);
    text += concat("run1/test/", i, ".pgm run1/training/", i, ".pgm\n");
  }
  list("run1", text);
  EXPECT_EQ(measure().accuracy, 0);
}

TEST_F(OneShotTest, HostileLists) {
  picture("run1/test/a.pgm", 10), picture("run1/test/b.pgm", 100);
  picture("run1/training/a.pgm", 12), picture("run1/training/b.pgm", 102);
  const std::string a = "run1/test/a.pgm run1/training/a.pgm\n", b = "run1/test/b.pgm run1/training/b.pgm\n";
  list("run1", a + b);
  EXPECT_EQ(measure().accuracy, 1);
  expect_refused("", {"class_labels.txt", "0 training pictures"});
  expect_refused(a, {"class_labels.txt", "1 training pictures"});
  expect_refused(a + "run1/test/b.pgm\n", {"class_labels.txt:2", "a trial is"});
  expect_refused(a + "x y z\n" + b, {"class_labels.txt:2", "a trial is"});
  expect_refused(a + b + a, {"class_labels.txt:3", "tested twice"});
  expect_refused(a + "run1/test/b.pgm run1/test/a.pgm\n", {"class_labels.txt", "at once"});
  expect_refused(a + "../x.pgm run1/training/b.pgm\n", {"class_labels.txt:2", "'../x.pgm'"});
  expect_refused(a + "/etc/passwd run1/training/b.pgm\n", {"class_labels.txt:2", "/etc/passwd"});
  expect_refused(a + "run1/test/gone.pgm run1/training/b.pgm\n", {"gone.pgm", "no such file"});
  expect_refused(a + std::string("run1/test/b.pgm run1/\0.pgm\n", 27), {"class_labels.txt", "line 2", "zero byte"});
  put_file(folder_ / "run1/test/b.pgm", "P5\n1 1\n255\n");
  expect_refused(a + b, {"b.pgm", "cut short"});
  expect_input_error([&] { one_shot(encoder_, path_of(folder_) + "/nowhere"); }, {"nowhere", "no such folder"});
  expect_input_error([&] { one_shot(encoder_, path_of(folder_) + "/run1"); }, {"run1", "class_labels.txt"});
  fs::remove(folder_ / "run1/class_labels.txt");
  fs::create_directory(folder_ / "run1/class_labels.txt");
  expect_input_error([&] { measure(); }, {"class_labels.txt", "not a file"});
}

// Runs in Omniglot's official layout, where they are at hand.
TEST_F(OneShotTest, OmniglotRuns) {
  const char* data = std::getenv("GEMEL_DATA");
  const std::string runs = concat(data != nullptr ? data : "", "/omniglot/validation_runs");
  if (data == nullptr || !fs::exists(runs)) GTEST_SKIP() << "GEMEL_DATA names no folder with omniglot/validation_runs";
  TwinRig rig("cpu", "input 28x28x1\nlinear 16\n");
  TwinEncoder encoder(rig.network, *rig.device, Preprocessing{28, 28, 1, {0.9F}, {0.3F}});
  const OneShot result = one_shot(encoder, runs);
  ASSERT_EQ(result.runs.size(), 10u);
  for (const OneShotRun& run : result.runs) {
    EXPECT_EQ(run.ways, 20);
    EXPECT_EQ(run.trials, 20);
  }
  EXPECT_EQ(result.trials, 200);
  EXPECT_GT(result.accuracy, 0.02);  // random projections know a little more than chance, 0.05, and far from all
  EXPECT_LT(result.accuracy, 0.6);
}

TEST(StudentT, Quantiles) {
  // From the usual tables.
  const std::pair<int, double> table[] = {{1, 12.7062}, {2, 4.3027},  {4, 2.7764},
                                          {9, 2.2622},  {19, 2.0930}, {1000, 1.9623}};
  for (const auto& [freedom, quantile] : table) EXPECT_NEAR(student_t_975(freedom), quantile, 1e-3) << freedom;
}

// ---- pairs.txt
class ListedPairsTest : public testing::Test {
 protected:
  TemporaryFolder folder_;
  const fs::path list_ = folder_ / "pairs.txt";

  ListedPairsTest() {
    for (const char* name : {"ann", "bob"}) {
      for (const char* number : {"0001", "0002", "0013"}) {
        put_file(folder_ / concat(name, "/", name, "_", number, ".pgm"),
                 pgm(1, 1, {static_cast<std::uint8_t>(name[0] + number[3])}));
      }
    }
  }
  ListedPairs load(const std::string& text) {
    put_file(list_, text);
    return load_listed_pairs(list_, path_of(folder_), {.height = 1, .width = 1, .channels = 1});
  }
  void expect_refused(const std::string& text, const std::vector<std::string>& parts) {
    SCOPED_TRACE(text);
    expect_input_error([&] { load(text); }, parts);
  }
};

TEST_F(ListedPairsTest, TwoFolds) {
  const ListedPairs listed = load("2\t1\nann\t1\t2\nann\t1\tbob\t13\nbob\t1\t13\nbob\t2\tann\t2\n\n");
  EXPECT_EQ(listed.folds, 2);
  EXPECT_EQ(listed.fold, (std::vector<int>{0, 0, 1, 1}));
  EXPECT_EQ(listed.pairs.same, (std::vector<std::uint8_t>{1, 0, 1, 0}));
  EXPECT_EQ(listed.data.size(), 5);  // each picture once
  EXPECT_EQ(listed.data.identities, (std::vector<std::string>{"ann", "bob"}));
  for (std::size_t i = 0; i < listed.pairs.size(); ++i) {
    const auto a = static_cast<std::size_t>(listed.pairs.a[i]), b = static_cast<std::size_t>(listed.pairs.b[i]);
    EXPECT_EQ(listed.data.labels[a] == listed.data.labels[b], listed.pairs.same[i] != 0);
  }
  const auto pixel = [&](std::int32_t row) { return listed.data.image(row)[0]; };
  EXPECT_EQ(pixel(listed.pairs.b[1]), 'b' + '3');
  EXPECT_EQ(pixel(listed.pairs.a[3]), 'b' + '2');
  EXPECT_EQ(load("1\nann 1 2\nann 1 bob 1\n").folds, 1);  // View 1: a number alone
}

TEST_F(ListedPairsTest, HostileLists) {
  const std::string same = "ann\t1\t2\n", different = "ann\t1\tbob\t1\n";
  expect_refused("", {"pairs.txt:1", "first line"});
  expect_refused("10 300 5\n", {"pairs.txt:1", "first line"});
  for (const char* header : {"x\t1\n", "1\t0\n", "0\t1\n", "-1\t1\n", "1\t99999999999999999999\n", "1.5\t1\n"}) {
    expect_refused(header + same + different, {"pairs.txt:1", "not a number"});
  }
  expect_refused("10\t300\n" + same + different, {"pairs.txt:1", "2 lines", "6000"});
  expect_refused("1000\t10000000\n" + same + different, {"pairs.txt:1", "20000000000"});
  expect_refused("1\t1\n" + different + same, {"pairs.txt:2", "one person was expected"});
  expect_refused("1\t1\n" + same + same, {"pairs.txt:3", "two people was expected"});
  expect_refused("1\t1\n" + same + "ann\t1\tann\t2\n", {"pairs.txt:3", "both are 'ann'"});
  expect_refused("1\t1\nann\t1\t1\n" + different, {"pairs.txt:2", "with itself"});
  expect_refused("1\t1\nann\t1\tx\n" + different, {"pairs.txt:2", "'x' is not a number"});
  expect_refused("1\t1\nann\t1\t7\n" + different, {"pairs.txt:2", "ann_0007"});
  expect_refused("1\t1\nzoe\t1\t2\n" + different, {"pairs.txt:2", "zoe_0001"});
  expect_refused("1\t1\n../ann\t1\t2\n" + different, {"pairs.txt:2", "'../ann' is no person's name"});
  expect_refused("1\t1\n..\t1\t2\n" + different, {"pairs.txt:2", "'..' is no person's name"});
  expect_refused(std::string("1\t1\nann\t1\t2\n\0", 13), {"pairs.txt", "zero byte"});
  fs::remove(list_);
  expect_input_error([&] { load_listed_pairs(list_, path_of(folder_), {}); }, {"pairs.txt", "no such file"});
  expect_input_error([&] { load_listed_pairs(folder_ / "ann", path_of(folder_), {}); }, {"ann", "not a file"});
}

}  // namespace
}  // namespace gemel
