// SPDX-License-Identifier: MIT
//
// Nothing in the file is believed: a count is compared with the bytes behind it before it is used.
#include "siamese/faces/dlib_archive.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/error.h"
#include "engine/input_file.h"
#include "layers/text_line.h"

namespace gemel {
namespace {

static_assert(std::endian::native == std::endian::little, "tensors are read as they lie in the file");

constexpr std::size_t kMostBytes = std::size_t{1} << 30;  // of a file; the published models have up to 100 MB
constexpr std::size_t kLongestText = 200;
constexpr unsigned kNegative = 0x80, kUnused = 0x70, kLength = 0x0f;
constexpr std::int64_t kFirstSpecialExponent = 32000;  // infinities and NaN (float_details.h)
constexpr int kTensorVersion = 2, kAliasVersion = 1;

}  // namespace

DlibArchive::DlibArchive(std::string bytes, std::string file) : bytes_(std::move(bytes)), file_(std::move(file)) {}

DlibArchive DlibArchive::open(const std::filesystem::path& path) {
  InputFile file(path);
  if (file.size() > kMostBytes) {
    throw InputError(concat(file.name(), ": ", file.size(), " bytes are more than any model of dlib's has"));
  }
  std::string bytes(static_cast<std::size_t>(file.size()), '\0');
  file.read(bytes.data(), bytes.size());
  return {std::move(bytes), file.name()};
}

void DlibArchive::fail(const std::string& what) const {
  throw InputError(concat(file_, ": byte ", begin_, ": ", what));
}

void DlibArchive::fail_cut() const { throw InputError(concat(file_, ": is cut short at byte ", bytes_.size())); }

std::string_view DlibArchive::take(std::size_t bytes) {
  if (bytes > left()) fail_cut();
  const std::string_view taken = std::string_view(bytes_).substr(next_, bytes);
  next_ += bytes;
  return taken;
}

std::int64_t DlibArchive::read_integer(std::string_view what) {
  begin_ = next_;
  const auto control = static_cast<unsigned char>(take(1).front());
  const unsigned length = control & kLength;
  if ((control & kUnused) != 0 || length < 1 || length > sizeof(std::uint64_t)) {
    fail(concat("expected ", what, ", found no integer"));
  }
  std::uint64_t magnitude = 0;
  std::memcpy(&magnitude, take(length).data(), length);
  if (magnitude > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    fail(concat(what, " is ", magnitude, ", which is too large"));
  }
  const auto value = static_cast<std::int64_t>(magnitude);
  return (control & kNegative) != 0 ? -value : value;
}

std::int64_t DlibArchive::integer(std::string_view what, std::int64_t lowest, std::int64_t highest) {
  const std::int64_t value = read_integer(what);
  if (value < lowest || value > highest) {
    fail(concat(what, " is ", value, "; it must be ", lowest,
                lowest == highest ? std::string() : concat(" to ", highest)));
  }
  return value;
}

std::int64_t DlibArchive::peek_integer(std::string_view what) {
  const std::size_t here = next_;
  const std::int64_t value = read_integer(what);
  next_ = here;
  return value;
}

double DlibArchive::real(std::string_view what) {
  const std::size_t begin = next_;
  const std::int64_t mantissa = read_integer(what);
  const std::int64_t exponent = read_integer(what);
  begin_ = begin;
  if (exponent >= kFirstSpecialExponent || exponent <= -kFirstSpecialExponent) fail(concat(what, " is not finite"));
  const double value = std::ldexp(static_cast<double>(mantissa), static_cast<int>(exponent));
  if (!std::isfinite(value)) fail(concat(what, " is not finite"));
  return value;
}

float DlibArchive::finite_float(std::string_view what) {
  const double value = real(what);
  if (!(std::abs(value) <= std::numeric_limits<float>::max()))
    fail(concat(what, " is ", value, ", which is too large"));
  return static_cast<float>(value);
}

bool DlibArchive::boolean(std::string_view what) {
  const int value = byte();
  if (value != '0' && value != '1') fail(concat("expected ", what, ", found no truth value"));
  return value == '1';
}

int DlibArchive::byte() {
  begin_ = next_;
  return static_cast<unsigned char>(take(1).front());
}

std::string DlibArchive::text(std::string_view what) {
  const std::size_t begin = next_, length = count(what, 1);
  begin_ = begin;
  if (length > kLongestText) fail(concat(what, " is a name of ", length, " letters"));
  return std::string(take(length));
}

void DlibArchive::expect(std::string_view wanted) {
  const std::string found = text(concat("'", wanted, "'"));
  if (found != wanted) fail(concat("expected '", wanted, "', found '", printable(found), "'"));
}

std::size_t DlibArchive::count(std::string_view what, std::size_t bytes) {
  const std::int64_t items = read_integer(what);
  if (items < 0) fail(concat(what, ": there are ", items, " of them"));
  if (static_cast<std::uint64_t>(items) > left() / bytes) {
    fail(concat(what, ": ", items, " of them cannot stand in the ", left(),
                " bytes that follow; the file is cut short or damaged"));
  }
  return static_cast<std::size_t>(items);
}

std::vector<float> DlibArchive::column(std::string_view what) {
  constexpr std::size_t kRealBytes = 4;  // at least: two integers of two
  const std::int64_t rows = std::abs(read_integer(what)), columns = std::abs(read_integer(what));
  if (columns != 1) fail(concat(what, " has ", columns, " columns; it must be one"));
  if (static_cast<std::uint64_t>(rows) > left() / kRealBytes) {
    fail(concat(what, ": ", rows, " numbers cannot stand in the ", left(),
                " bytes that follow; the file is cut short or damaged"));
  }
  std::vector<float> values(static_cast<std::size_t>(rows));
  for (float& value : values) value = finite_float(what);
  return values;
}

DlibArchive::Sizes DlibArchive::read_sizes(std::string_view what) {
  Sizes sizes{};
  for (std::int64_t& size : sizes) size = integer(concat("a size of ", what), 0, std::numeric_limits<int>::max());
  return sizes;
}

DlibArchive::Sizes DlibArchive::sizes(std::string_view what) {
  integer(concat("the version of the sizes of ", what), kAliasVersion, kAliasVersion);
  return read_sizes(what);
}

DlibArchive::Tensor DlibArchive::tensor(std::string_view what) {
  const std::size_t begin = next_;
  integer(concat("the version of ", what), kTensorVersion, kTensorVersion);
  Tensor tensor{read_sizes(what), {}};
  begin_ = begin;
  std::size_t numbers = 1;
  for (const std::int64_t size : tensor.sizes) {
    const auto factor = static_cast<std::size_t>(size);
    if (factor != 0 && numbers > left() / sizeof(float) / factor) {
      fail(concat(what, " of sizes ", tensor.sizes[0], "x", tensor.sizes[1], "x", tensor.sizes[2], "x", tensor.sizes[3],
                  " cannot stand in the ", left(), " bytes that follow; the file is cut short or damaged"));
    }
    numbers *= factor;
  }
  tensor.values.resize(numbers);
  if (numbers > 0) std::memcpy(tensor.values.data(), take(numbers * sizeof(float)).data(), numbers * sizeof(float));
  const auto finite = [](float value) { return std::isfinite(value); };
  if (!std::all_of(tensor.values.begin(), tensor.values.end(), finite)) fail(concat(what, " is not finite"));
  return tensor;
}

void DlibArchive::finish() const {
  if (left() > 0) {
    throw InputError(concat(file_, ": byte ", next_, ": the model ends here, the file ", left(), " bytes later"));
  }
}

}  // namespace gemel
