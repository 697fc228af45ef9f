// SPDX-License-Identifier: MIT
//
// dlib's networks are nested types, the output's layer outermost, and so is the file: the version of each layer's wrapper
// from the output to the input, then the input, then on the way back each layer's own content and three tensors of its
// last training step. Tags and skips have a wrapper and no content, and nothing but their places tells them apart.
// Filters lie as (K,C,R,S) there, here as (K,R,S,C); the weights of fc as (In,Out), here as (Out,In).
#include "siamese/faces/dlib_network.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/error.h"
#include "layers/conv2d.h"
#include "layers/linear.h"
#include "layers/pool2d.h"

namespace gemel {
namespace {

constexpr int kTagOrSkip = 1, kLayer = 2;                     // versions of wrappers
constexpr int kFirstLayer = 2, kFirstLayerWithExpansion = 3;  // of the one around the input
constexpr int kLongestVersion =
    3;  // what is larger where a wrapper's version may stand is the length of the input's name
constexpr std::size_t kMostLayers = 1000;
constexpr float kOurScale = 255, kDlibScale = 256;  // what pixels are divided by

// The layers in the order in which they compute.
class Builder {
 public:
  explicit Builder(DlibArchive& archive) : archive_(archive) {}

  void read_input();
  void read_layer();
  void read_tag_or_skip();
  DlibNetwork finish();

 private:
  // Behind what the next layer stands.
  enum class Behind { layer, tag, skip, pooled_skip };
  struct ScaleShift {
    std::vector<float> scale, shift;  // a channel each
  };
  struct Block {
    std::size_t line;  // its `residual`
    int channels;      // of its input
  };

  void add(std::string line) { lines_.push_back(std::move(line)); }
  void open_block();
  void end_block();
  void read_convolution(bool tells_bias);
  ScaleShift read_scale_shift(const DlibArchive::Tensor& all);
  void add_affine(ScaleShift values);
  void read_affine(bool tells_disabled);
  void read_batch_norm();
  void read_max_pool();
  void read_average_pool();
  void read_fully_connected(bool tells_bias);
  void read_learning_rates();
  Size2 read_size2(const std::string& what, int lowest);
  // "conv1." for the first of its kind.
  std::string next_name(const char* keyword) { return concat(keyword, ++numbers_[keyword], "."); }
  void check_sizes(const DlibArchive::Sizes& found, const DlibArchive::Sizes& wanted, const char* what) const;
  void put(const std::string& name, std::vector<std::int64_t> shape, std::vector<float> values) {
    network_.parameters[name] = {std::move(shape), std::move(values)};
  }

  DlibArchive& archive_;
  DlibNetwork network_;
  std::vector<std::string> lines_;
  std::map<std::string, int> numbers_;
  std::vector<Block> blocks_;
  Behind behind_ = Behind::layer;
  int channels_ = 3;
  bool has_pixels_ = true;  // false: one row of features
};

void Builder::read_input() {
  const std::string name = archive_.text("the input's version");
  const bool pyramid = name == "input_rgb_image_pyramid" || name == "input_rgb_image_pyramid2";
  const bool sized = name == "input_rgb_image_sized";
  if (!pyramid && !sized && name != "input_rgb_image") {
    archive_.fail(concat("expected an input of colour pictures (input_rgb_image...), found '", printable(name), "'"));
  }
  for (const char* what : {"the mean of red", "the mean of green", "the mean of blue"}) {
    network_.mean.push_back(archive_.finite_float(what) / kOurScale);
    network_.deviation.push_back(kDlibScale / kOurScale);
  }
  if (sized) {
    network_.height = static_cast<int>(archive_.integer("the input's height", 1, kMaxLength));
    network_.width = static_cast<int>(archive_.integer("the input's width", 1, kMaxLength));
  }
  if (name == "input_rgb_image_pyramid2") {
    for (const char* what : {"the pyramid's padding", "the pyramid's outer padding"}) {
      archive_.integer(what, 0, kMaxLength);
    }
  }
}

void Builder::read_layer() {
  const std::string name = archive_.text("a layer's version");
  if (behind_ == Behind::skip && name != "avg_pool_2") archive_.fail("expected an avg_pool_ behind a skip");
  if (behind_ == Behind::pooled_skip && name != "add_prev_") archive_.fail("expected the add_prev_ of a pooled skip");
  if (name == "add_prev_") return end_block();
  if (behind_ == Behind::tag) open_block();
  if (name == "con_4" || name == "con_5") return read_convolution(name == "con_5");
  if (name == "affine_" || name == "affine_2") return read_affine(name == "affine_2");
  if (name == "bn_con2" || name == "bn_fc2") return read_batch_norm();
  if (name == "relu_") return add("relu");
  if (name == "max_pool_2") return read_max_pool();
  if (name == "avg_pool_2") return read_average_pool();
  if (name == "fc_2" || name == "fc_3") return read_fully_connected(name == "fc_3");
  archive_.fail(
      concat("expected one of the layers con_, affine_, bn_, relu_, max_pool_, avg_pool_, fc_ and add_prev_, found '",
             printable(name), "'"));
}

// One tag is where a residual block starts. Two in a row are the tag of the block's own output and the skip back to where
// it started.
void Builder::read_tag_or_skip() {
  if (behind_ == Behind::layer) {
    behind_ = Behind::tag;
  } else if (behind_ == Behind::tag && !blocks_.empty()) {
    behind_ = Behind::skip;
  } else {
    archive_.fail("a tag or skip before this layer makes no residual block");
  }
}

void Builder::open_block() {
  blocks_.push_back({lines_.size(), channels_});
  add("residual");
  behind_ = Behind::layer;
}

void Builder::end_block() {
  if (behind_ == Behind::tag || blocks_.empty()) archive_.fail("an add_prev_ without a block before it");
  channels_ = std::max(channels_, blocks_.back().channels);
  blocks_.pop_back();
  add("end");
  behind_ = Behind::layer;
}

Size2 Builder::read_size2(const std::string& what, int lowest) {
  const auto h = static_cast<int>(archive_.integer(concat("the height of the ", what), lowest, kMaxWindow));
  const auto w = static_cast<int>(archive_.integer(concat("the width of the ", what), lowest, kMaxWindow));
  return {h, w};
}

void Builder::check_sizes(const DlibArchive::Sizes& found, const DlibArchive::Sizes& wanted, const char* what) const {
  if (found == wanted) return;
  const auto text = [](const DlibArchive::Sizes& s) { return concat(s[0], "x", s[1], "x", s[2], "x", s[3]); };
  archive_.fail(concat(what, " have the sizes ", text(found), " instead of ", text(wanted)));
}

// Of weights, and their decay; the same of the bias.
void Builder::read_learning_rates() {
  for (int i = 0; i < 4; ++i) archive_.real("a learning rate's multiplier");
}

// (K,C,R,S) -> (K,R,S,C).
std::vector<float> channels_last(const std::vector<float>& filters, int k, int c, Size2 window) {
  const int taps = window.h * window.w;
  std::vector<float> turned(filters.size());
  std::size_t at = 0;
  for (int filter = 0; filter < k; ++filter) {
    const float* from = filters.data() + static_cast<std::size_t>(filter) * c * taps;
    for (int tap = 0; tap < taps; ++tap) {
      for (int channel = 0; channel < c; ++channel) turned[at++] = from[channel * taps + tap];
    }
  }
  return turned;
}

void Builder::read_convolution(bool tells_bias) {
  DlibArchive::Tensor all = archive_.tensor("filters and biases");
  Conv2dOptions options{};
  options.filters = static_cast<int>(archive_.integer("the number of filters", 1, kMaxChannels));
  options.window = read_size2("filters", 1);
  options.stride = read_size2("stride", 1);
  options.pad = read_size2("padding", 0);
  const DlibArchive::Sizes filters = archive_.sizes("filters");
  check_sizes(filters, {options.filters, channels_, options.window.h, options.window.w}, "the filters");
  const DlibArchive::Sizes biases = archive_.sizes("biases");
  read_learning_rates();
  options.bias = tells_bias ? archive_.boolean("whether there is a bias") : true;
  const auto k = static_cast<std::size_t>(options.filters);
  const std::size_t weights = k * channels_ * options.window.h * options.window.w;
  if (options.bias) check_sizes(biases, {1, options.filters, 1, 1}, "the biases");
  if (all.values.size() != weights + (options.bias ? k : 0)) {
    archive_.fail(
        concat("the convolution has ", all.values.size(), " parameters instead of ", weights + (options.bias ? k : 0)));
  }
  const std::string name = next_name("conv");
  if (options.bias) put(name + "bias", {options.filters}, {all.values.begin() + weights, all.values.end()});
  all.values.resize(weights);
  put(name + "weight", {options.filters, options.window.h, options.window.w, channels_},
      channels_last(all.values, options.filters, channels_, options.window));
  add(Conv2d(options).text());
  channels_ = options.filters;
}

// `all`: the scales, then the shifts. The sizes of both follow.
Builder::ScaleShift Builder::read_scale_shift(const DlibArchive::Tensor& all) {
  for (const char* what : {"the scales", "the shifts"}) check_sizes(archive_.sizes(what), {1, channels_, 1, 1}, what);
  const auto c = static_cast<std::ptrdiff_t>(channels_);
  if (all.values.size() != static_cast<std::size_t>(2 * c)) {
    archive_.fail(concat(all.values.size(), " scales and shifts for ", channels_, " channels"));
  }
  return {{all.values.begin(), all.values.begin() + c}, {all.values.begin() + c, all.values.end()}};
}

void Builder::add_affine(ScaleShift values) {
  const std::string name = next_name("affine");
  put(name + "scale", {channels_}, std::move(values.scale));
  put(name + "shift", {channels_}, std::move(values.shift));
  add("affine");
}

void Builder::read_affine(bool tells_disabled) {
  ScaleShift values = read_scale_shift(archive_.tensor("scales and shifts"));
  constexpr int kConvolutions = 0, kFeatures = 1;  // dlib's layer_mode; with one scale a channel they are the same
  archive_.integer("the mode of affine_", kConvolutions, kFeatures);
  if (tells_disabled && archive_.boolean("whether affine_ is disabled")) archive_.fail("a disabled affine_");
  add_affine(std::move(values));
}

// Batch normalisation that an affine_ is made of when it is read: (x - mean) / sqrt(variance + eps) * scale + shift.
void Builder::read_batch_norm() {
  ScaleShift values = read_scale_shift(archive_.tensor("scales and shifts"));
  for (const char* what : {"means", "deviations"}) archive_.tensor(what);  // of the last training step
  const DlibArchive::Tensor means = archive_.tensor("running means"), variances = archive_.tensor("running variances");
  check_sizes(means.sizes, {1, channels_, 1, 1}, "the running means");
  check_sizes(variances.sizes, {1, channels_, 1, 1}, "the running variances");
  for (const char* what : {"the updates", "the window of running statistics"}) {
    archive_.integer(what, 0, std::numeric_limits<std::int64_t>::max());
  }
  read_learning_rates();
  const double eps = archive_.real("eps");
  for (std::size_t i = 0; i < values.scale.size(); ++i) {
    const double spread = variances.values[i] + eps;
    if (!(spread > 0)) archive_.fail(concat("channel ", i, " has the variance ", spread));
    const double scale = values.scale[i] / std::sqrt(spread);
    values.scale[i] = static_cast<float>(scale);
    values.shift[i] = static_cast<float>(values.shift[i] - scale * means.values[i]);
  }
  add_affine(std::move(values));
}

void Builder::read_max_pool() {
  Pool2dOptions options{};
  options.window = read_size2("pool's windows", 1);
  options.stride = read_size2("pool's stride", 1);
  options.pad = read_size2("pool's padding", 0);
  add(MaxPool2d(options).text());
}

void Builder::read_average_pool() {
  Pool2dOptions options{};
  options.window = read_size2("pool's windows", 0);  // 0: as large as the image
  options.stride = read_size2("pool's stride", 1);
  options.pad = read_size2("pool's padding", 0);
  const auto is = [](Size2 a, int size) { return a.h == size && a.w == size; };
  if (!is(options.pad, 0)) archive_.fail("an avg_pool_ with padding");
  if (behind_ == Behind::skip) {
    if (!is(options.window, 2) || !is(options.stride, 2)) archive_.fail("a skip's avg_pool_ must be 2x2 of stride 2");
    lines_[blocks_.back().line] = "residual avgpool 2";
    behind_ = Behind::pooled_skip;
  } else if (is(options.window, 0)) {
    add("globalavgpool");
    has_pixels_ = false;
  } else if (options.window.h == 0 || options.window.w == 0) {
    archive_.fail("an avg_pool_ over whole rows or columns");
  } else {
    add(AvgPool2d(options).text());
  }
}

void Builder::read_fully_connected(bool tells_bias) {
  const auto out = static_cast<int>(archive_.integer("the outputs of fc_", 1, kMaxChannels));
  archive_.integer("the inputs of fc_", channels_, channels_);
  const DlibArchive::Tensor all = archive_.tensor("weights and biases");
  check_sizes(archive_.sizes("weights"), {channels_, out, 1, 1}, "the weights");
  const DlibArchive::Sizes biases = archive_.sizes("biases");
  constexpr int kHasBias = 0, kNoBias = 1;  // dlib's fc_bias_mode
  bool bias = archive_.integer("the bias mode of fc_", kHasBias, kNoBias) == kHasBias;
  read_learning_rates();
  if (tells_bias && !archive_.boolean("whether there is a bias")) bias = false;
  if (has_pixels_) archive_.fail("an fc_ on an image: only behind a global avg_pool_");
  const std::size_t weights = static_cast<std::size_t>(out) * channels_;
  if (bias) check_sizes(biases, {1, out, 1, 1}, "the biases");
  if (all.values.size() != weights + (bias ? out : 0)) {
    archive_.fail(concat("fc_ has ", all.values.size(), " parameters instead of ", weights + (bias ? out : 0)));
  }
  std::vector<float> turned(weights);
  for (int o = 0; o < out; ++o) {
    for (int i = 0; i < channels_; ++i) {
      turned[static_cast<std::size_t>(o) * channels_ + i] = all.values[static_cast<std::size_t>(i) * out + o];
    }
  }
  const std::string name = next_name("linear");
  put(name + "weight", {out, channels_}, std::move(turned));
  if (bias) put(name + "bias", {out}, {all.values.begin() + weights, all.values.end()});
  add(Linear(out, bias).text());
  channels_ = out;
}

DlibNetwork Builder::finish() {
  if (behind_ != Behind::layer || !blocks_.empty()) archive_.fail("the network ends within a residual block");
  for (const std::string& line : lines_) network_.layers += line + "\n";
  network_.channels = channels_;
  return std::move(network_);
}

// What every layer ends with: three truth values and three tensors of its last training step.
void skip_training_state(DlibArchive& archive) {
  for (int i = 0; i < 3; ++i) archive.boolean("the state of a layer");
  for (int i = 0; i < 3; ++i) archive.tensor("the gradients of a layer");
}

}  // namespace

DlibNetwork read_dlib_network(DlibArchive& archive) {
  std::vector<int> wrappers;  // from the output on
  while (archive.peek_integer("a layer") <= kLongestVersion) {
    wrappers.push_back(static_cast<int>(archive.integer("the version of a layer", kTagOrSkip, kLongestVersion)));
    if (wrappers.size() > kMostLayers) archive.fail(concat("more than ", kMostLayers, " layers"));
  }
  if (wrappers.empty() || wrappers.back() < kFirstLayer) archive.fail("a tag directly on the input, or no layers");
  if (std::find(wrappers.begin(), wrappers.end() - 1, kFirstLayerWithExpansion) != wrappers.end() - 1) {
    archive.fail("the version of a layer is 3, and it is not the first");
  }
  Builder builder(archive);
  builder.read_input();
  builder.read_layer();
  skip_training_state(archive);
  if (wrappers.back() >= kFirstLayerWithExpansion) archive.integer("the input's copies of a picture", 1, 1);
  for (auto wrapper = wrappers.rbegin() + 1; wrapper != wrappers.rend(); ++wrapper) {
    if (*wrapper == kLayer) {
      builder.read_layer();
      skip_training_state(archive);
    } else {
      builder.read_tag_or_skip();
    }
  }
  return builder.finish();
}

}  // namespace gemel
