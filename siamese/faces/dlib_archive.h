// SPDX-License-Identifier: MIT
//
// DlibArchive: what dlib's serialize() wrote, read back value by value. The form (dlib/serialize.h, float_details.h,
// dnn/tensor.h):
//   integer   a byte, its low 4 bits the number of bytes that follow and its highest the sign; the magnitude, little-endian
//   real      two integers, mantissa and exponent: mantissa * 2^exponent
//   bool      '0' or '1'
//   string    its length and its bytes
//   vector    the number of its items and the items
//   matrix    the numbers of rows and columns, of either sign, and the items
//   tensor    the integer 2, four sizes (N,C,H,W), and as many IEEE floats
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace gemel {

// Every reader moves on by what it read. They throw InputError of one line, "FILE: is cut short at byte N" or "FILE: byte
// N: ...", and take no memory that the bytes at hand do not justify. `what` names the value in messages.
class DlibArchive {
 public:
  using Sizes = std::array<std::int64_t, 4>;  // (N,C,H,W)
  struct Tensor {
    Sizes sizes{};
    std::vector<float> values;
  };

  // `file` stands in messages.
  DlibArchive(std::string bytes, std::string file);
  static DlibArchive open(const std::filesystem::path& file);

  const std::string& file() const { return file_; }
  std::int64_t integer(std::string_view what, std::int64_t lowest, std::int64_t highest);
  // The next value, which must be an integer, without moving on.
  std::int64_t peek_integer(std::string_view what);
  double real(std::string_view what);         // finite
  float finite_float(std::string_view what);  // a real within the floats
  bool boolean(std::string_view what);
  int byte();
  std::string text(std::string_view what);
  void expect(std::string_view text);  // a string that must be this one
  // How many items follow, each of at least `bytes` bytes.
  std::size_t count(std::string_view what, std::size_t bytes);
  std::vector<float> column(std::string_view what);  // a matrix (n,1)
  Sizes sizes(std::string_view what);                // an alias_tensor: a part of another tensor
  Tensor tensor(std::string_view what);              // all finite
  void finish() const;                               // nothing may follow

  // "FILE: byte N: WHAT", of the value read last.
  [[noreturn]] void fail(const std::string& what) const;

 private:
  [[noreturn]] void fail_cut() const;
  std::size_t left() const { return bytes_.size() - next_; }
  std::string_view take(std::size_t bytes);
  std::int64_t read_integer(std::string_view what);
  Sizes read_sizes(std::string_view what);

  std::string bytes_, file_;
  std::size_t next_ = 0;   // byte
  std::size_t begin_ = 0;  // of the value read last
};

}  // namespace gemel
