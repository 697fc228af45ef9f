// SPDX-License-Identifier: MIT
//
// Files that are damaged or mean harm: each must end in an InputError that names the file, never in a crash, and never
// take memory that the file's size does not justify.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>

#include "engine/checkpoint.h"
#include "tests/engine/device_fixture.h"
#include "tests/engine/temporary_folder.h"

namespace gemel {
namespace {

std::string with_length(std::uint64_t length, const std::string& header, std::size_t data_bytes) {
  std::string bytes(sizeof(length), '\0');
  std::memcpy(bytes.data(), &length, sizeof(length));
  return bytes + header + std::string(data_bytes, '\x01');
}

std::string with_header(const std::string& header, std::size_t data_bytes) {
  return with_length(header.size(), header, data_bytes);
}

// A header of one tensor "a".
std::string tensor(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"a":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
}

struct HostileFile {
  const char* name;
  std::string bytes;
  const char* message;  // part of it
};

void PrintTo(const HostileFile& file, std::ostream* out) { *out << file.name; }

class HostileFileTest : public testing::TestWithParam<HostileFile> {};

TEST_P(HostileFileTest, IsRefused) {
  const TemporaryFolder folder;
  write_file(folder / "hostile.safetensors", GetParam().bytes);
  const std::string message = message_of<InputError>([&] { read_tensors(folder / "hostile.safetensors"); });
  EXPECT_NE(message.find("hostile.safetensors: "), std::string::npos) << message;
  EXPECT_NE(message.find(GetParam().message), std::string::npos) << message;
  EXPECT_LT(message.size(), 500u);
}

const std::string kTwo = R"("b":{"dtype":"F32","shape":[1],"data_offsets":)";

INSTANTIATE_TEST_SUITE_P(
    Table, HostileFileTest,
    testing::ValuesIn(std::vector<HostileFile>{
        {"nothing", "", "too short"},
        {"seven_bytes", std::string(7, '\0'), "too short"},
        {"no_header", with_length(0, "", 0), "does not start with '{'"},
        {"header_of_terabytes", with_length(std::uint64_t{1} << 42, "{}", 0), "claims a header of 4398046511104 bytes"},
        {"header_of_2_to_64", with_length(~std::uint64_t{0}, "{}", 0), "claims a header"},
        {"header_one_too_long", with_length(3, "{}", 0), "claims a header"},
        {"another_format", "PK\x03\x04 a zip archive, as other model files are", "claims a header"},
        {"leading_space", with_header(" {}", 0), "does not start with '{'"},
        {"no_json", with_header("{\"a\":", 0), "no valid JSON"},
        {"two_objects", with_header("{}{}", 0), "no valid JSON"},
        {"invalid_utf8", with_header("{\"\xff\":{}}", 0), "no valid JSON"},
        {"array_for_header", with_header("[]", 0), "does not start with '{'"},
        {"number_for_tensor", with_header(R"({"a":1})", 0), "unexpected header field at \"a\""},
        {"null_for_tensor", with_header(R"({"a":null})", 0), "unexpected"},
        {"deep_arrays", with_header("{\"a\":" + std::string(1000000, '['), 0), "unexpected"},
        {"deep_objects", with_header(R"({"a":{"b":{"c":{}}}})", 0), "unexpected"},
        {"deep_shape", with_header(tensor(R"("F32")", "[[1]]", "[0,4]"), 4), "unexpected"},
        {"no_dtype", with_header(R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4), "has no dtype"},
        {"no_shape", with_header(R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4), "has no shape"},
        {"no_offsets", with_header(R"({"a":{"dtype":"F32","shape":[1]}})", 4), "data_offsets"},
        {"one_offset", with_header(tensor(R"("F32")", "[1]", "[4]"), 4), "data_offsets"},
        {"three_offsets", with_header(tensor(R"("F32")", "[1]", "[0,4,8]"), 4), "data_offsets"},
        {"unknown_field", with_header(R"({"a":{"stride":[1]}})", 4), "unexpected header field at \"stride\""},
        {"two_shapes", with_header(R"({"a":{"shape":[1],"shape":[1]}})", 4), "unexpected"},
        {"half_precision", with_header(tensor(R"("F16")", "[2]", "[0,4]"), 4), "\"a\" is of type \"F16\"; only F32"},
        {"integers", with_header(tensor(R"("I32")", "[1]", "[0,4]"), 4), "only F32"},
        {"dtype_is_no_text", with_header(tensor("32", "[1]", "[0,4]"), 4), "unexpected"},
        {"negative_offset", with_header(tensor(R"("F32")", "[1]", "[-4,0]"), 4), "negative"},
        {"negative_dimension", with_header(tensor(R"("F32")", "[-1]", "[0,4]"), 4), "negative"},
        {"fractional_dimension", with_header(tensor(R"("F32")", "[1.0]", "[0,4]"), 4), "unexpected"},
        {"offsets_turned_round", with_header(tensor(R"("F32")", "[1]", "[4,0]"), 4), "ends before it begins"},
        {"offset_beyond_the_file", with_header(tensor(R"("F32")", "[2]", "[0,8]"), 4), "ends at byte 8 of 4"},
        {"offset_of_2_to_63", with_header(tensor(R"("F32")", "[1]", "[0,9223372036854775808]"), 4), "too large"},
        {"offset_of_2_to_70", with_header(tensor(R"("F32")", "[1]", "[0,1180591620717411303424]"), 4), "unexpected"},
        {"shape_and_bytes_differ", with_header(tensor(R"("F32")", "[2]", "[0,4]"), 4), "its shape asks for 8"},
        {"shape_of_terabytes", with_header(tensor(R"("F32")", "[1099511627776]", "[0,4]"), 4), "its shape asks for"},
        // 4 * 2^62 and 2^32 * 2^32 * 2^32: products that wrap to 0
        {"shape_wraps", with_header(tensor(R"("F32")", "[4611686018427387904]", "[0,0]"), 0), "more elements"},
        {"shape_product_wraps", with_header(tensor(R"("F32")", "[4294967296,4294967296,4294967296]", "[0,0]"), 0),
         "more elements"},
        {"gap_in_front", with_header(tensor(R"("F32")", "[1]", "[4,8]"), 8), "leaves a gap"},
        {"bytes_behind", with_header(tensor(R"("F32")", "[1]", "[0,4]"), 9), "5 bytes after the last tensor"},
        {"data_without_tensors", with_header("{}", 4), "4 bytes after the last tensor"},
        {"overlap", with_header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)" + kTwo + "[4,8]}}", 8),
         "overlaps"},
        {"same_bytes_twice",
         with_header(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)" + kTwo + "[0,4]}}", 4), "overlaps"},
        {"same_name_twice", with_header("{" + kTwo + "[0,4]}," + kTwo + "[4,8]}}", 8), "\"b\" appears twice"},
        {"metadata_twice", with_header(R"({"__metadata__":{},"__metadata__":{}})", 0), "appears twice"},
        {"metadata_name_twice", with_header(R"({"__metadata__":{"k":"1","k":"2"}})", 0), "appears twice"},
        {"metadata_number", with_header(R"({"__metadata__":{"k":1}})", 0), "unexpected"},
        {"metadata_object", with_header(R"({"__metadata__":{"k":{}}})", 0), "unexpected"},
        {"long_name_is_cut", with_header("{\"" + std::string(100000, 'x') + "\":1}", 0), "xxx...\""},
        {"name_with_escapes", with_header("{\"\\u001b[2J\":1}", 0), "\\u001b[2J"},
    }),
    [](const auto& info) { return std::string(info.param.name); });

// Two tensors and metadata, small enough to be damaged everywhere.
std::string sound_file() {
  return with_header(
      R"({"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)" + kTwo + "[8,12]}}", 12);
}

TEST(DamagedFile, SoundToBeginWith) {
  const TemporaryFolder folder;
  write_file(folder / "sound", sound_file());
  EXPECT_EQ(read_tensors(folder / "sound").tensors.at("a").values.size(), 2u);
}

TEST(DamagedFile, CutAnywhereIsRefused) {
  const TemporaryFolder folder;
  const std::string sound = sound_file();
  for (std::size_t length = 0; length < sound.size(); ++length) {
    write_file(folder / "cut", sound.substr(0, length));
    message_of<InputError>([&] { read_tensors(folder / "cut"); });
  }
}

// A changed bit is refused, or it has changed a name, a value or an equivalent spelling; nothing else may happen.
TEST(DamagedFile, AChangedBitIsRefusedOrHarmless) {
  const TemporaryFolder folder;
  const std::string sound = sound_file();
  int refused = 0;
  for (std::size_t bit = 0; bit < sound.size() * 8; ++bit) {
    std::string changed = sound;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
    write_file(folder / "changed", changed);
    try {
      std::size_t values = 0;
      for (const auto& [name, tensor] : read_tensors(folder / "changed").tensors) values += tensor.values.size();
      EXPECT_EQ(values, 3u) << "bit " << bit;
    } catch (const InputError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 700);
}

TEST(DamagedFile, WhatIsNoFileIsRefused) {
  const TemporaryFolder folder;
  const auto message = [](const std::filesystem::path& file) {
    return message_of<InputError>([&] { read_tensors(file); });
  };
  EXPECT_NE(message(folder / "missing").find("missing: no such file"), std::string::npos);
  EXPECT_NE(message(folder / "").find("not a regular file"), std::string::npos);
  EXPECT_NE(message("/dev/zero").find("not a regular file"), std::string::npos);
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_NE(message(folder / "pipe").find("not a regular file"), std::string::npos);
}

}  // namespace
}  // namespace gemel
