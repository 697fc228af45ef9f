// SPDX-License-Identifier: MIT
//
// Files in dlib's serialized form (siamese/faces/dlib_archive.h says what it is), and three tiny models in it. Written from
// the format alone, so that the reader is not tested against itself.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace gemel {

class DlibWriter {
 public:
  const std::string& bytes() const { return bytes_; }
  // Where integers stand that are no part of a real: their first byte and how many bytes they have.
  struct Place {
    std::size_t begin, bytes;
  };
  const std::vector<Place>& integers() const { return integers_; }

  static std::string integer_bytes(std::int64_t value) {
    std::string digits;
    for (auto rest = static_cast<std::uint64_t>(std::abs(value)); rest != 0 || digits.empty(); rest >>= 8) {
      digits += static_cast<char>(rest & 0xff);
    }
    return static_cast<char>(digits.size() | (value < 0 ? 0x80u : 0u)) + digits;
  }

  DlibWriter& integer(std::int64_t value) {
    const std::string text = integer_bytes(value);
    integers_.push_back({bytes_.size(), text.size()});
    bytes_ += text;
    return *this;
  }
  DlibWriter& integers(const std::vector<std::int64_t>& values) {
    for (const std::int64_t value : values) integer(value);
    return *this;
  }
  DlibWriter& real(double value) {
    int exponent = 0;
    const double mantissa = std::frexp(value, &exponent);
    constexpr int kDigits = 53;
    bytes_ += integer_bytes(static_cast<std::int64_t>(std::ldexp(mantissa, kDigits)));
    bytes_ += integer_bytes(exponent - kDigits);
    return *this;
  }
  DlibWriter& reals(const std::vector<double>& values) {
    for (const double value : values) real(value);
    return *this;
  }
  DlibWriter& byte(char value) {
    bytes_ += value;
    return *this;
  }
  DlibWriter& text(const std::string& value) {
    integer(static_cast<std::int64_t>(value.size()));
    bytes_ += value;
    return *this;
  }
  DlibWriter& sizes(const std::vector<std::int64_t>& sizes) { return integer(1).integers(sizes); }
  DlibWriter& tensor(const std::vector<std::int64_t>& sizes, const std::vector<float>& values) {
    integer(2).integers(sizes);
    const std::size_t begin = bytes_.size();
    bytes_.resize(begin + values.size() * sizeof(float));
    if (!values.empty()) std::memcpy(bytes_.data() + begin, values.data(), values.size() * sizeof(float));
    return *this;
  }
  DlibWriter& column(const std::vector<float>& values) {
    integer(-static_cast<std::int64_t>(values.size())).integer(-1);
    for (const float value : values) real(value);
    return *this;
  }

 private:
  std::string bytes_;
  std::vector<Place> integers_;
};

// `count` numbers that are all different and exact in a float.
inline std::vector<float> ramp(std::int64_t count, float first) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(first + static_cast<float>(i) / 64);
  return values;
}

// Layers in the order in which they compute, written as dlib nests them.
class DlibNetworkWriter {
 public:
  using Content = std::function<void(DlibWriter&)>;

  void layer(Content content) { entries_.push_back(std::move(content)); }
  void tag() { entries_.emplace_back(); }
  void skip() { tag(); }  // in the file they are the same

  // con_4. `values`: (K,C,R,S), then K biases.
  void convolution(int k, int c, int window, int stride, int pad, const std::vector<float>& values) {
    layer([=](DlibWriter& out) {
      out.text("con_4").tensor({static_cast<std::int64_t>(values.size()), 1, 1, 1}, values);
      out.integers({k, window, window, stride, stride, pad, pad}).sizes({k, c, window, window}).sizes({1, k, 1, 1});
      out.reals({1, 1, 1, 0});
    });
  }
  void affine(int c, const std::vector<float>& values) {
    layer([=](DlibWriter& out) {
      out.text("affine_").tensor({2 * c, 1, 1, 1}, values).sizes({1, c, 1, 1}).sizes({1, c, 1, 1}).integer(0);
    });
  }
  void relu() {
    layer([](DlibWriter& out) { out.text("relu_"); });
  }
  void pool(const char* name, int window, int stride) {
    layer([=](DlibWriter& out) { out.text(name).integers({window, window, stride, stride, 0, 0}); });
  }
  void add_previous() {
    layer([](DlibWriter& out) { out.text("add_prev_"); });
  }

  // `input`: its version and content.
  void write(DlibWriter& out, const Content& input) const {
    for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) {
      out.integer(&*entry == &entries_.front() ? 3 : *entry ? 2 : 1);
    }
    input(out);
    for (const Content& entry : entries_) {
      if (!entry) continue;
      entry(out);
      out.byte('1').byte('1').byte('0');
      for (int i = 0; i < 3; ++i) out.tensor({0, 0, 0, 0}, {});
      if (&entry == &entries_.front()) out.integer(1);
    }
  }

 private:
  std::vector<Content> entries_;  // empty: a tag or skip
};

constexpr double kMeans[] = {122.75, 117, 104.25};  // red, green, blue

inline DlibWriter tiny_detector() {
  DlibNetworkWriter network;
  network.convolution(2, 3, 3, 2, 0, ramp(2 * 3 * 3 * 3 + 2, -1));
  network.layer([](DlibWriter& out) {  // scales 2 and 3, shifts 5 and 7, means 1 and 2, variances 4 and 16
    out.text("bn_con2").tensor({4, 1, 1, 1}, {2, 3, 5, 7}).sizes({1, 2, 1, 1}).sizes({1, 2, 1, 1});
    for (int i = 0; i < 2; ++i) out.tensor({0, 0, 0, 0}, {});
    out.tensor({1, 2, 1, 1}, {1, 2}).tensor({1, 2, 1, 1}, {4, 16}).integers({100, 1000}).reals({1, 0, 1, 0}).real(0);
  });
  network.relu();
  network.convolution(1, 2, 5, 1, 2, ramp(2 * 5 * 5 + 1, 1));
  DlibWriter out;
  out.integer(1).text("loss_mmod_").integer(1).integers({40, 36}).reals({1, 1, 0.5, 0.375, 0.875, 0.5, 1});
  network.write(out, [](DlibWriter& input) {
    input.text("input_rgb_image_pyramid").reals({kMeans[0], kMeans[1], kMeans[2]});
  });
  return out;
}

// 2 stages of 3 trees with 2 levels of splits over 4 places.
inline DlibWriter tiny_landmarks(int points = 5) {
  DlibWriter out;
  out.integer(1).column(ramp(2 * points, 0.25F)).integer(2);
  for (int stage = 0; stage < 2; ++stage) {
    out.integer(3);
    for (int tree = 0; tree < 3; ++tree) {
      out.integer(3);
      for (int split = 0; split < 3; ++split)
        out.integers({(tree + split) % 4, (stage + split + 2) % 4}).real(split - 1.5);
      out.integer(4);
      for (int leaf = 0; leaf < 4; ++leaf)
        out.column(ramp(2 * points, static_cast<float>(100 * stage + 10 * tree + leaf)));
    }
  }
  out.integer(2);
  for (int stage = 0; stage < 2; ++stage) out.integer(4).integers({0, stage, 4, 3});
  out.integer(2);
  for (int stage = 0; stage < 2; ++stage) {
    out.integer(4);
    for (int place = 0; place < 4; ++place) out.reals({place - 0.5, stage + 0.25});
  }
  return out;
}

// 19x17 pixels, one plain residual block, one that halves, 3 numbers.
inline DlibWriter tiny_embedding() {
  DlibNetworkWriter network;
  network.convolution(2, 3, 3, 2, 0, ramp(2 * 3 * 3 * 3 + 2, -0.5F));
  network.affine(2, {1, 2, 3, 4});
  network.relu();
  network.pool("max_pool_2", 3, 2);
  network.tag();
  network.convolution(2, 2, 3, 1, 1, ramp(2 * 2 * 3 * 3 + 2, -0.25F));
  network.add_previous();
  network.relu();
  network.tag();
  network.convolution(4, 2, 3, 2, 0, ramp(4 * 2 * 3 * 3 + 4, -0.75F));
  network.tag();
  network.skip();
  network.pool("avg_pool_2", 2, 2);
  network.add_previous();
  network.pool("avg_pool_2", 0, 1);
  network.layer([](DlibWriter& out) {
    out.text("fc_2").integers({3, 4}).tensor({4, 3, 1, 1}, ramp(12, 1)).sizes({4, 3, 1, 1}).sizes({0, 0, 0, 0});
    out.integer(1).reals({1, 1, 1, 0});
  });
  DlibWriter out;
  out.integer(1).text("loss_metric_2").reals({0.04, 0.6});
  network.write(out, [](DlibWriter& input) {
    input.text("input_rgb_image_sized").reals({kMeans[0], kMeans[1], kMeans[2]}).integers({19, 17});
  });
  return out;
}

}  // namespace gemel
