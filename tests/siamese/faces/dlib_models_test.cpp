// SPDX-License-Identifier: MIT
//
// Tiny models of each kind come through the reader number by number; damaged in any way they are refused, in one line,
// and take no memory that their bytes do not justify.
#include "siamese/faces/dlib_models.h"

#include "tests/engine/devices.h"
#include "tests/siamese/faces/dlib_writer.h"
#include "tests/siamese/support.h"

namespace gemel {
namespace {

using Tensors = std::map<std::string, TensorFile::Tensor>;

DetectorModel detector(const std::string& bytes) {
  DlibArchive archive(bytes, "file.dat");
  return read_dlib_detector(archive);
}
LandmarkModel landmarks(const std::string& bytes) {
  DlibArchive archive(bytes, "file.dat");
  return read_dlib_landmarks(archive);
}
EmbeddingModel embedding(const std::string& bytes) {
  DlibArchive archive(bytes, "file.dat");
  return read_dlib_embedding(archive);
}

// (K,C,R,S) as written, with K biases behind -> the tensors that they must have become.
void expect_convolution(const Tensors& tensors, const std::string& name, int k, int c, int window,
                        const std::vector<float>& written) {
  const TensorFile::Tensor& weight = tensors.at(name + ".weight");
  ASSERT_EQ(weight.shape, (std::vector<std::int64_t>{k, window, window, c}));
  std::size_t at = 0;
  for (int f = 0; f < k; ++f) {
    for (int r = 0; r < window; ++r) {
      for (int s = 0; s < window; ++s) {
        for (int channel = 0; channel < c; ++channel) {
          EXPECT_EQ(weight.values[at++],
                    written[static_cast<std::size_t>(((f * c + channel) * window + r) * window + s)]);
        }
      }
    }
  }
  EXPECT_EQ(at, weight.values.size());
  EXPECT_EQ(tensors.at(name + ".bias").values, std::vector<float>(written.end() - k, written.end()));
}

TEST(DlibModelsTest, DetectorComesThrough) {
  const DetectorModel model = detector(tiny_detector().bytes());
  EXPECT_EQ(model.network, "input 36x40x3\nconv 2 3x3 stride 2\naffine\nrelu\nconv 1 5x5 pad 2\n");
  EXPECT_EQ(model.window_width, 40);
  EXPECT_EQ(model.window_height, 36);
  EXPECT_EQ(model.iou, 0.375);
  EXPECT_EQ(model.covered, 0.875);
  EXPECT_EQ(model.mean, (std::vector<float>{122.75F / 255, 117.0F / 255, 104.25F / 255}));
  EXPECT_EQ(model.deviation, std::vector<float>(3, 256.0F / 255));
  EXPECT_EQ(model.parameters.size(), 6u);
  expect_convolution(model.parameters, "conv1", 2, 3, 3, ramp(56, -1));
  expect_convolution(model.parameters, "conv2", 1, 2, 5, ramp(51, 1));
  // (x - 1) / 2 * 2 + 5 and (x - 2) / 4 * 3 + 7
  EXPECT_EQ(model.parameters.at("affine1.scale").values, (std::vector<float>{1, 0.75F}));
  EXPECT_EQ(model.parameters.at("affine1.shift").values, (std::vector<float>{4, 5.5F}));
}

// The version of today's dlib, and what it can say that we cannot do.
TEST(DlibModelsTest, NewerDetectorOptions) {
  const auto read = [](int windows, char pyramid, char regression) {
    DlibNetworkWriter network;
    network.layer([](DlibWriter& out) {  // con_5 without a bias
      out.text("con_5").tensor({3, 1, 1, 1}, {1, 2, 3}).integers({1, 1, 1, 1, 1, 0, 0}).sizes({1, 3, 1, 1});
      out.sizes({0, 0, 0, 0}).reals({1, 1, 1, 0}).byte('0');
    });
    DlibWriter out;
    out.integer(1).text("loss_mmod_").integer(4).integer(windows);
    for (int i = 0; i < windows; ++i) out.integers({2, 12, 10}).text("face");
    out.reals({1, 1, 0.5, 0.25, 1, 0.5, 1}).byte(pyramid).byte(regression).real(100);
    network.write(out, [](DlibWriter& input) {
      input.text("input_rgb_image_pyramid2").reals({1, 2, 3}).integers({10, 11});
    });
    return detector(out.bytes());
  };
  const DetectorModel model = read(1, '\0', '0');
  EXPECT_EQ(model.network, "input 10x12x3\nconv 1 1x1 nobias\n");
  EXPECT_EQ(model.parameters.at("conv1.weight").values, (std::vector<float>{1, 2, 3}));
  expect_input_error([&] { read(2, '\0', '0'); }, {"2 detector windows"});
  expect_input_error([&] { read(0, '\0', '0'); }, {"0 detector windows"});
  expect_input_error([&] { read(1, '\1', '0'); }, {"pyramid"});
  expect_input_error([&] { read(1, '\0', '1'); }, {"regression"});
}

TEST(DlibModelsTest, LandmarksComeThrough) {
  const LandmarkModel model = landmarks(tiny_landmarks().bytes());
  EXPECT_EQ(model.points, 5);
  EXPECT_EQ(model.stages, 2);
  EXPECT_EQ(model.trees, 3);
  EXPECT_EQ(model.depth, 2);
  EXPECT_EQ(model.features, 4);
  EXPECT_EQ(model.mean_shape, ramp(10, 0.25F));
  EXPECT_EQ(model.anchors, (std::vector<std::int32_t>{0, 0, 4, 3, 0, 1, 4, 3}));
  EXPECT_EQ(model.offsets, (std::vector<float>{-0.5F, 0.25F, 0.5F, 0.25F, 1.5F, 0.25F, 2.5F, 0.25F,  //
                                               -0.5F, 1.25F, 0.5F, 1.25F, 1.5F, 1.25F, 2.5F, 1.25F}));
  ASSERT_EQ(model.pairs.size(), 2u * 3 * 3 * 2);
  ASSERT_EQ(model.thresholds.size(), 2u * 3 * 3);
  ASSERT_EQ(model.leaves.size(), 2u * 3 * 4 * 10);
  for (std::size_t stage = 0, split = 0, leaf = 0; stage < 2; ++stage) {
    for (std::size_t tree = 0; tree < 3; ++tree) {
      for (std::size_t i = 0; i < 3; ++i, ++split) {
        EXPECT_EQ(model.pairs[2 * split], static_cast<std::int32_t>((tree + i) % 4));
        EXPECT_EQ(model.pairs[2 * split + 1], static_cast<std::int32_t>((stage + i + 2) % 4));
        EXPECT_EQ(model.thresholds[split], static_cast<float>(i) - 1.5F);
      }
      for (std::size_t i = 0; i < 4; ++i, ++leaf) {
        const auto want = ramp(10, static_cast<float>(100 * stage + 10 * tree + i));
        EXPECT_TRUE(
            std::equal(want.begin(), want.end(), model.leaves.begin() + static_cast<std::ptrdiff_t>(10 * leaf)));
      }
    }
  }
  expect_input_error([] { landmarks(tiny_landmarks(4).bytes()); }, {"8 numbers", "shape_predictor_5_face_landmarks"});
}

TEST(DlibModelsTest, EmbeddingComesThrough) {
  const EmbeddingModel model = embedding(tiny_embedding().bytes());
  EXPECT_EQ(model.network,
            "input 19x17x3\nconv 2 3x3 stride 2\naffine\nrelu\nmaxpool 3 stride 2\n"
            "residual\nconv 2 3x3 pad 1\nend\nrelu\n"
            "residual avgpool 2\nconv 4 3x3 stride 2\nend\nglobalavgpool\nlinear 3 nobias\n");
  EXPECT_EQ(model.preprocessing.height, 19);
  EXPECT_EQ(model.preprocessing.width, 17);
  EXPECT_EQ(model.preprocessing.channels, 3);
  EXPECT_EQ(model.preprocessing.mean[0], 122.75F / 255);
  EXPECT_EQ(model.parameters.size(), 9u);
  expect_convolution(model.parameters, "conv1", 2, 3, 3, ramp(56, -0.5F));
  expect_convolution(model.parameters, "conv2", 2, 2, 3, ramp(38, -0.25F));
  expect_convolution(model.parameters, "conv3", 4, 2, 3, ramp(76, -0.75F));
  EXPECT_EQ(model.parameters.at("affine1.scale").values, (std::vector<float>{1, 2}));
  EXPECT_EQ(model.parameters.at("affine1.shift").values, (std::vector<float>{3, 4}));
  // (In,Out) = (4,3) written in order: output 0 has the numbers 0, 3, 6, 9
  const auto& weight = model.parameters.at("linear1.weight");
  EXPECT_EQ(weight.shape, (std::vector<std::int64_t>{3, 4}));
  const std::vector<float> written = ramp(12, 1);
  for (std::size_t o = 0; o < 3; ++o) {
    for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(weight.values[o * 4 + i], written[i * 3 + o]);
  }
}

// ---- networks that dlib can write and we cannot run

// Reads the network as an embedding of 8x8 pixels.
void read_network(const std::function<void(DlibNetworkWriter&)>& build, const char* input = "input_rgb_image_sized") {
  DlibNetworkWriter network;
  build(network);
  DlibWriter out;
  out.integer(1).text("loss_metric_");
  network.write(out, [&](DlibWriter& in) { in.text(input).reals({1, 2, 3}).integers({8, 8}); });
  embedding(out.bytes());
}

TEST(DlibModelsTest, ForeignNetworksAreNamed) {
  using Network = DlibNetworkWriter;
  const auto conv = [](Network& n, int c = 3, int window = 3) {
    n.convolution(2, c, window, 1, 1, ramp(2 * c * window * window + 2, 0));
  };
  const auto refused = [&](const std::function<void(Network&)>& build, const std::vector<std::string>& parts) {
    expect_input_error([&] { read_network(build); }, parts);
  };
  refused([&](Network& n) { n.layer([](DlibWriter& out) { out.text("sig_"); }); }, {"byte ", "expected one", "'sig_'"});
  refused(
      [&](Network& n) {
        conv(n);
        conv(n);
      },
      {"the filters have the sizes 2x3x3x3 instead of 2x2x3x3"});
  refused([&](Network& n) { n.convolution(2, 3, 3, 1, 1, ramp(55, 0)); }, {"55 parameters instead of 56"});
  refused([&](Network& n) { n.convolution(2, 3, 3, 0, 1, ramp(56, 0)); }, {"the height of the stride is 0"});
  refused(
      [&](Network& n) {
        conv(n);
        n.affine(3, ramp(6, 0));
      },
      {"the scales have the sizes 1x3x1x1 instead of 1x2x1x1"});
  refused(
      [&](Network& n) {
        conv(n);
        n.add_previous();
      },
      {"an add_prev_ without a block"});
  refused(
      [&](Network& n) {
        conv(n);
        n.tag();
        n.add_previous();
      },
      {"an add_prev_ without a block"});
  refused(
      [&](Network& n) {
        conv(n);
        n.tag();
        conv(n, 2);
      },
      {"ends within a residual block"});
  refused(
      [&](Network& n) {
        conv(n);
        n.tag();
      },
      {"ends within a residual block"});
  refused(
      [&](Network& n) {
        n.tag();
        conv(n);
      },
      {"byte "});
  refused(
      [&](Network& n) {
        conv(n);
        n.tag();
        n.tag();
        conv(n, 2);
      },
      {"no residual block"});
  const auto pooled = [&](Network& n, const char* pool, int window, bool add) {
    conv(n);
    n.tag();
    conv(n, 2);
    n.tag();
    n.skip();
    n.pool(pool, window, 2);
    if (add)
      n.add_previous();
    else
      n.relu();
  };
  refused([&](Network& n) { pooled(n, "avg_pool_2", 3, true); }, {"must be 2x2 of stride 2"});
  refused([&](Network& n) { pooled(n, "max_pool_2", 2, true); }, {"expected an avg_pool_ behind a skip"});
  refused([&](Network& n) { pooled(n, "avg_pool_2", 2, false); }, {"expected the add_prev_"});
  refused([&](Network& n) { conv(n); }, {"file.dat", "embedding is one row of numbers"});
  refused(
      [&](Network& n) {
        conv(n, 3, 31);
        n.pool("avg_pool_2", 0, 1);
      },
      {"its layers do not fit together"});
  expect_input_error([&] { read_network([&](Network& n) { conv(n); }, "input<matrix>"); }, {"'input<matrix>'"});
  expect_input_error([&] { embedding(tiny_detector().bytes()); }, {"expected 'loss_metric_', found 'loss_mmod_'"});
  expect_input_error([&] { detector(tiny_embedding().bytes()); }, {"expected 'loss_mmod_', found 'loss_metric_2'"});
  expect_input_error([&] { landmarks(tiny_embedding().bytes()); }, {"the mean shape"});
}

// ---- damaged files

struct Kind {
  const char* name;
  DlibWriter file;
  std::function<void(const std::string&)> read;
  int harmless;  // hostile integers that change nothing
};
void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

class DamagedDlibModel : public testing::TestWithParam<Kind> {
 protected:
  // True if it was refused. Anything but an InputError of one line ends the test.
  static bool refused(const std::string& bytes) {
    try {
      GetParam().read(bytes);
    } catch (const InputError& error) {
      const std::string message = error.what();
      EXPECT_EQ(message.find('\n'), std::string::npos) << message;
      EXPECT_EQ(message.find("file.dat"), 0u) << message;
      EXPECT_LT(message.size(), 400u);
      return true;
    }
    return false;
  }
};
// Harmless are: the two counters of batch normalisation, each of four positive values; three sizes of each empty tensor, of
// 2^31 - 1; -1 columns, which are one; and the sizes of the biases that an fc has not, of 2^31 - 1.
INSTANTIATE_TEST_SUITE_P(Kinds, DamagedDlibModel,
                         testing::ValuesIn(std::vector<Kind>{
                             {"detector", tiny_detector(), [](const std::string& b) { detector(b); }, 8 + 14 * 3},
                             {"landmarks", tiny_landmarks(), [](const std::string& b) { landmarks(b); }, 25},
                             {"embedding", tiny_embedding(), [](const std::string& b) { embedding(b); }, 4 + 36 * 3}}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(DamagedDlibModel, CutAnywhereIsRefused) {
  const std::string& whole = GetParam().file.bytes();
  EXPECT_FALSE(refused(whole));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_TRUE(refused(whole.substr(0, length))) << "cut at " << length << " of " << whole.size();
  }
  EXPECT_TRUE(refused(whole + '\0'));
}

// Versions, counts, sizes, lengths and indices: each with each of five values.
TEST_P(DamagedDlibModel, HostileIntegersAreRefused) {
  const std::string& whole = GetParam().file.bytes();
  int passed = 0;
  for (const std::int64_t value : {std::int64_t{-1}, std::int64_t{0x7fffffff}, std::int64_t{1} << 40,
                                   std::int64_t{1} << 62, std::numeric_limits<std::int64_t>::max()}) {
    for (const DlibWriter::Place& place : GetParam().file.integers()) {
      std::string changed = whole;
      changed.replace(place.begin, place.bytes, DlibWriter::integer_bytes(value));
      if (!refused(changed)) ++passed;
    }
  }
  EXPECT_EQ(passed, GetParam().harmless);
}

TEST_P(DamagedDlibModel, AnyChangedByteIsRefusedOrAnotherNumber) {
  const std::string& whole = GetParam().file.bytes();
  std::size_t count = 0;
  for (const int value : {0x00, 0x01, 0x7f, 0x80, 0x88, 0xff}) {
    for (std::size_t at = 0; at < whole.size(); ++at) {
      std::string changed = whole;
      changed[at] = static_cast<char>(value);
      if (refused(changed)) ++count;
    }
  }
  EXPECT_GT(count, whole.size());
}

// ---- the three as one model

class ImportTest : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Devices, ImportTest, testing::ValuesIn(test_devices()), device_test_name);

TEST_P(ImportTest, MakesOneModelThatIsKept) {
  const std::unique_ptr<Device> device = open_device(GetParam());
  const TemporaryFolder folder;
  put_file(folder / "d.dat", tiny_detector().bytes());
  put_file(folder / "l.dat", tiny_landmarks().bytes());
  put_file(folder / "e.dat", tiny_embedding().bytes());
  const DlibFiles files{.detector = folder / "d.dat", .landmarks = folder / "l.dat", .embedding = folder / "e.dat"};
  Model model = import_dlib_models(files, *device);
  EXPECT_EQ(model.info.threshold, 0.6F);
  EXPECT_FALSE(model.info.calibrated_on.empty());
  std::vector<std::uint8_t> pixels;
  for (int i = 0; i < 2 * 19 * 17 * 3; ++i) pixels.push_back(static_cast<std::uint8_t>(i * i % 251));
  const std::vector<float> e = model.encoder().embed(pixels, 2);
  ASSERT_EQ(e.size(), 6u);
  EXPECT_NE(e[0], e[3]);
  model.save(folder / "m.safetensors");
  Model loaded = Model::load(folder / "m.safetensors", *device);
  EXPECT_EQ(loaded.encoder().embed(pixels, 2), e);
  EXPECT_EQ(loaded.fingerprint(), model.fingerprint());
  EXPECT_EQ(FaceModel::from(loaded.faces, "m").detector.network, detector(tiny_detector().bytes()).network);
  loaded.faces = {};
  EXPECT_NE(loaded.fingerprint(), model.fingerprint());
  put_file(folder / "l.dat", tiny_landmarks().bytes().substr(0, 100));
  expect_input_error([&] { import_dlib_models(files, *device); }, {"l.dat"});
}

}  // namespace
}  // namespace gemel
