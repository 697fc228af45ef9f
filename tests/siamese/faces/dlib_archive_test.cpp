// SPDX-License-Identifier: MIT
//
// dlib's values are read as they were written, and what is no value is refused.
#include "siamese/faces/dlib_archive.h"

#include <limits>

#include "tests/siamese/faces/dlib_writer.h"
#include "tests/siamese/support.h"

namespace gemel {
namespace {

DlibArchive archive(const std::string& bytes) { return {bytes, "file.dat"}; }

TEST(DlibArchiveTest, ReadsWhatWasWritten) {
  constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();
  const std::vector<std::int64_t> whole{0, 1, -1, 255, 256, -65536, 1 << 30, kLargest, -kLargest};
  const std::vector<double> reals{0, 1, -0.375, 1e-300, 122.782, -1e300, 5e-324};
  DlibWriter out;
  out.integers(whole).reals(reals).byte('1').byte('0').text("con_4").column({0.1F, -2});
  out.sizes({1, 2, 3, 4}).tensor({1, 2, 1, 2}, {1, -2.5F, 1e-20F, 0}).tensor({0, 0, 0, 0}, {});
  DlibArchive in = archive(out.bytes());
  for (const std::int64_t value : whole) EXPECT_EQ(in.integer("a number", -kLargest, kLargest), value);
  for (const double value : reals) EXPECT_EQ(in.real("a number"), value);
  EXPECT_TRUE(in.boolean("yes"));
  EXPECT_FALSE(in.boolean("no"));
  in.expect("con_4");
  EXPECT_EQ(in.column("a column"), (std::vector<float>{0.1F, -2}));
  EXPECT_EQ(in.sizes("sizes"), (DlibArchive::Sizes{1, 2, 3, 4}));
  const DlibArchive::Tensor tensor = in.tensor("a tensor");
  EXPECT_EQ(tensor.sizes, (DlibArchive::Sizes{1, 2, 1, 2}));
  EXPECT_EQ(tensor.values, (std::vector<float>{1, -2.5F, 1e-20F, 0}));
  EXPECT_TRUE(in.tensor("nothing").values.empty());
  in.finish();
}

// As dlib's own files have them: trailing zero bytes of the mantissa taken off (float_details.h).
TEST(DlibArchiveTest, ReadsCompactReals) {
  DlibArchive in = archive(std::string("\x01\x10\x81\x04\x03\x62\x90\xf5\x81\x11\x01\x00\x01\x40", 14));
  EXPECT_EQ(in.real("1"), 1);
  EXPECT_EQ(in.finite_float("the mean of red"), 122.782F);
  EXPECT_EQ(in.real("0"), 0);
  in.finish();
}

TEST(DlibArchiveTest, PeekingDoesNotMoveOn) {
  DlibArchive in = archive(DlibWriter().integers({7, 8}).bytes());
  EXPECT_EQ(in.peek_integer("seven"), 7);
  EXPECT_EQ(in.integer("seven", 7, 7), 7);
  EXPECT_EQ(in.peek_integer("eight"), 8);
}

TEST(DlibArchiveTest, WhatIsNoValueIsRefused) {
  using Read = std::function<void(DlibArchive&)>;
  const Read integer = [](DlibArchive& in) { in.integer("the size", 1, 10); };
  const Read real = [](DlibArchive& in) { in.real("the scale"); };
  const Read count = [](DlibArchive& in) { in.count("trees", 4); };
  const Read text = [](DlibArchive& in) { in.expect("con_"); };
  const Read tensor = [](DlibArchive& in) { in.tensor("filters"); };
  const Read column = [](DlibArchive& in) { in.column("a leaf"); };
  const auto bytes = [](const DlibWriter& out) { return out.bytes(); };
  const auto refused = [](const std::string& bytes, const Read& read, const std::vector<std::string>& parts) {
    DlibArchive in = archive(bytes);
    std::vector<std::string> all{"file.dat: "};
    all.insert(all.end(), parts.begin(), parts.end());
    expect_input_error([&] { read(in); }, all);
  };
  refused("", integer, {"is cut short at byte 0"});
  refused("\x02\x01", integer, {"is cut short at byte 2"});
  refused(std::string("\x00\x01", 2), integer, {"byte 0: expected the size, found no integer"});
  refused(
      "\x09"
      "123456789",
      integer, {"found no integer"});
  refused("\x11\x01", integer, {"found no integer"});
  refused("\x08\xff\xff\xff\xff\xff\xff\xff\xff", integer, {"the size is 18446744073709551615, which is too large"});
  refused(bytes(DlibWriter().integer(11)), integer, {"the size is 11; it must be 1 to 10"});
  refused(bytes(DlibWriter().integer(-1)), integer, {"the size is -1"});
  refused(bytes(DlibWriter().integers({1, 32000})), real, {"the scale is not finite"});  // infinity
  refused(bytes(DlibWriter().integers({0, 32002})), real, {"the scale is not finite"});  // NaN
  refused(bytes(DlibWriter().integers({1, 2000})), real, {"the scale is not finite"});
  refused(bytes(DlibWriter().integers({1, std::numeric_limits<std::int64_t>::max()})), real, {"not finite"});
  refused(bytes(DlibWriter().real(1e300)), [](DlibArchive& in) { in.finite_float("x"); }, {"x is 1e+300"});
  refused("2", [](DlibArchive& in) { in.boolean("whether"); }, {"expected whether, found no truth value"});
  refused(bytes(DlibWriter().integer(-1)), count, {"trees: there are -1 of them"});
  refused(bytes(DlibWriter().integer(1)) + "abc", count, {"trees: 1 of them cannot stand in the 3 bytes that follow"});
  refused(bytes(DlibWriter().integer(std::int64_t{1} << 62)), count, {"trees: 4611686018427387904 of them"});
  refused(bytes(DlibWriter().text("fc_2")), text, {"byte 0: expected 'con_', found 'fc_2'"});
  refused(bytes(DlibWriter().text("a\nb")), text, {"found 'a?b'"});
  refused(bytes(DlibWriter().text(std::string(100000, 'x'))), text, {"a name of 100000 letters"});
  refused(bytes(DlibWriter().integers({3, 0, 0, 0, 0})), tensor, {"the version of filters is 3; it must be 2"});
  refused(bytes(DlibWriter().integers({2, 1, 1, 1, 2})) + "1234567", tensor, {"1x1x1x2", "in the 7 bytes"});
  refused(bytes(DlibWriter().integers({2, 1 << 30, 1 << 30, 1 << 30, 1 << 30})), tensor, {"cannot stand"});
  refused(bytes(DlibWriter().integers({2, 1, 1, 1, std::int64_t{1} << 40})), tensor, {"a size of filters"});
  refused(bytes(DlibWriter().tensor({1, 1, 1, 1}, {NAN})), tensor, {"filters is not finite"});
  refused(bytes(DlibWriter().integers({-2, -2}).reals({1, 2, 3, 4})), column, {"a leaf has 2 columns"});
  refused(bytes(DlibWriter().integers({-(std::int64_t{1} << 62), 1})), column, {"a leaf: 4611686018427387904 numbers"});
  refused(bytes(DlibWriter().integers({1, 2})),
          [](DlibArchive& in) {
            in.integer("x", 0, 9);
            in.finish();
          },
          {"byte 2: the model ends here, the file 2 bytes later"});
}

TEST(DlibArchiveTest, OpensFiles) {
  const TemporaryFolder folder;
  put_file(folder / "a.dat", DlibWriter().integer(5).bytes());
  EXPECT_EQ(DlibArchive::open(folder / "a.dat").integer("x", 0, 9), 5);
  expect_input_error([&] { DlibArchive::open(folder / "b.dat"); }, {"b.dat: no such file"});
  expect_input_error([] { DlibArchive::open("/dev/zero"); }, {"/dev/zero: is not a regular file"});
}

}  // namespace
}  // namespace gemel
