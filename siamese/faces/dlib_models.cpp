// SPDX-License-Identifier: MIT
//
// What stands around the networks, and the trees.
#include "siamese/faces/dlib_models.h"

#include <array>
#include <functional>
#include <limits>
#include <tuple>

#include "engine/error.h"
#include "layers/network.h"
#include "layers/text_line.h"
#include "siamese/faces/dlib_network.h"
#include "siamese/faces/face.h"

namespace gemel {
namespace {

constexpr int kLossLayerVersion = 1, kPredictorVersion = 1;
constexpr int kMostStages = 1000, kMostTrees = 100000, kMostDepth = 16;

// mmod_options: the windows and the rule of overlaps; the rest is for training.
void read_detector_options(DlibArchive& archive, DetectorModel& model) {
  constexpr int kOneWindow = 1, kWindows = 2, kTellsPyramid = 3, kTellsRegression = 4;  // versions
  const auto version = archive.integer("the version of mmod_options", kOneWindow, kTellsRegression);
  bool has_label = false;
  if (version >= kWindows) {
    constexpr std::size_t kWindowBytes = 6;  // at least
    const std::size_t windows = archive.count("detector windows", kWindowBytes);
    if (windows != 1) archive.fail(concat(windows, " detector windows; only a model of one can be used"));
    has_label = archive.integer("the version of a detector window", 1, 2) == 2;
  }
  model.window_width = static_cast<int>(archive.integer("the width of the detector window", 1, kMaxLength));
  model.window_height = static_cast<int>(archive.integer("the height of the detector window", 1, kMaxLength));
  if (has_label) archive.text("the label of the detector window");
  for (const char* what : {"loss_per_false_alarm", "loss_per_missed_target", "truth_match_iou_threshold"}) {
    archive.real(what);
  }
  const auto share = [&](const char* what) {
    const double value = archive.real(what);
    if (!(value >= 0 && value <= 1)) archive.fail(concat(what, " is ", value, "; it must be 0 to 1"));
    return value;
  };
  model.iou = share("the largest intersection over union of two faces");
  model.covered = share("the largest covered part of a face");
  share("the overlap of ignored boxes");
  share("the covered part of ignored boxes");
  if (version >= kTellsPyramid && archive.byte() != 0) {
    archive.fail("this detector was trained for pictures of one size, without a pyramid");
  }
  if (version >= kTellsRegression) {
    if (archive.boolean("use_bounding_box_regression")) archive.fail("this detector corrects its boxes by regression");
    archive.real("bbr_lambda");
  }
}

// Throws InputError where the layers do not fit each other or, `row`, do not make one row of numbers of a picture.
void check(const DlibArchive& archive, const std::string& text, bool row) {
  try {
    const Network network = Network::parse(text, archive.file());
    if (row) static_cast<void>(network.embedding_size());
  } catch (const ShapeError& error) {
    throw InputError(concat(archive.file(), ": its layers do not fit together (", error.what(), ")"));
  }
}

struct Tree {
  std::vector<std::int32_t> pairs;  // (2^depth - 1, 2)
  std::vector<float> thresholds, leaves;
  int depth = 0;
};

Tree read_tree(DlibArchive& archive, int points) {
  constexpr std::size_t kSplitBytes = 8, kLeafBytes = 4;  // at least
  Tree tree;
  const std::size_t splits = archive.count("the splits of a tree", kSplitBytes);
  while (tree.depth <= kMostDepth && (std::size_t{1} << tree.depth) - 1 < splits) ++tree.depth;
  if (splits == 0 || tree.depth > kMostDepth || (std::size_t{1} << tree.depth) - 1 != splits) {
    archive.fail(concat("a tree of ", splits, " splits; a complete one has 1, 3, 7, 15, ..."));
  }
  for (std::size_t i = 0; i < splits; ++i) {
    for (int side = 0; side < 2; ++side) {
      tree.pairs.push_back(static_cast<std::int32_t>(
          archive.integer("the place that a split compares", 0, std::numeric_limits<std::int32_t>::max())));
    }
    tree.thresholds.push_back(archive.finite_float("a split's threshold"));
  }
  const std::size_t leaves = archive.count("the leaves of a tree", kLeafBytes);
  if (leaves != splits + 1) archive.fail(concat("a tree of ", splits, " splits and ", leaves, " leaves"));
  for (std::size_t i = 0; i < leaves; ++i) {
    const std::vector<float> offsets = archive.column("a leaf");
    if (offsets.size() != static_cast<std::size_t>(2 * points)) {
      archive.fail(concat("a leaf of ", offsets.size(), " numbers for ", points, " landmarks"));
    }
    tree.leaves.insert(tree.leaves.end(), offsets.begin(), offsets.end());
  }
  return tree;
}

template <class T>
void append(std::vector<T>& to, const std::vector<T>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

// The first is taken as it is, all others must agree.
void agree(const DlibArchive& archive, int& all, std::size_t one, int most, const char* what) {
  if (one < 1 || one > static_cast<std::size_t>(most)) archive.fail(concat(one, " ", what));
  if (all == 0) all = static_cast<int>(one);
  if (static_cast<std::size_t>(all) != one) {
    archive.fail(concat(one, " ", what, " where there were ", all, " before; they must be equal"));
  }
}

void read_forests(DlibArchive& archive, LandmarkModel& model) {
  constexpr std::size_t kForestBytes = 2, kTreeBytes = 4;  // at least
  agree(archive, model.stages, archive.count("stages", kForestBytes), kMostStages, "stages");
  for (int stage = 0; stage < model.stages; ++stage) {
    agree(archive, model.trees, archive.count("the trees of a stage", kTreeBytes), kMostTrees, "trees");
    for (int i = 0; i < model.trees; ++i) {
      const Tree tree = read_tree(archive, model.points);
      agree(archive, model.depth, static_cast<std::size_t>(tree.depth), kMostDepth, "levels of splits");
      append(model.pairs, tree.pairs);
      append(model.thresholds, tree.thresholds);
      append(model.leaves, tree.leaves);
    }
  }
}

// A vector of as many vectors as there are stages, `read` for each item of them.
void read_places(DlibArchive& archive, LandmarkModel& model, const char* what, std::size_t bytes,
                 const std::function<void()>& read) {
  constexpr std::size_t kVectorBytes = 2;  // at least
  agree(archive, model.stages, archive.count(what, kVectorBytes), kMostStages, what);
  for (int stage = 0; stage < model.stages; ++stage) {
    agree(archive, model.features, archive.count(what, bytes), kMaxChannels, what);
    for (int i = 0; i < model.features; ++i) read();
  }
}

}  // namespace

DetectorModel read_dlib_detector(DlibArchive& archive) {
  DetectorModel model;
  archive.integer("the version of a loss layer", kLossLayerVersion, kLossLayerVersion);
  archive.expect("loss_mmod_");
  read_detector_options(archive, model);
  DlibNetwork network = read_dlib_network(archive);
  archive.finish();
  if (network.channels != 1) {
    throw InputError(
        concat(archive.file(), ": the detector gives ", network.channels, " scores a place; it must be one"));
  }
  model.network = concat("input ", model.window_height, "x", model.window_width, "x3\n", network.layers);
  model.parameters = std::move(network.parameters);
  model.mean = std::move(network.mean);
  model.deviation = std::move(network.deviation);
  check(archive, model.network, false);
  return model;
}

LandmarkModel read_dlib_landmarks(DlibArchive& archive) {
  LandmarkModel model;
  archive.integer("the version of a shape predictor", kPredictorVersion, kPredictorVersion);
  model.mean_shape = archive.column("the mean shape");
  constexpr std::size_t kPoints = std::tuple_size_v<Landmarks>;
  if (model.mean_shape.size() != 2 * kPoints) {
    archive.fail(concat("the mean shape has ", model.mean_shape.size(), " numbers; ", kPoints, " landmarks have ",
                        2 * kPoints, ": take shape_predictor_5_face_landmarks.dat"));
  }
  model.points = static_cast<int>(kPoints);
  read_forests(archive, model);
  constexpr std::size_t kIntegerBytes = 2, kPointBytes = 8;  // at least
  read_places(archive, model, "anchors", kIntegerBytes, [&] {
    model.anchors.push_back(static_cast<std::int32_t>(archive.integer("an anchor", 0, model.points - 1)));
  });
  read_places(archive, model, "offsets", kPointBytes, [&] {
    for (const char* what : {"the x of an offset", "the y of an offset"}) {
      model.offsets.push_back(archive.finite_float(what));
    }
  });
  archive.finish();
  for (const std::int32_t place : model.pairs) {
    if (place >= model.features) {
      throw InputError(concat(archive.file(), ": a split compares place ", place, " of ", model.features));
    }
  }
  return model;
}

EmbeddingModel read_dlib_embedding(DlibArchive& archive) {
  archive.integer("the version of a loss layer", kLossLayerVersion, kLossLayerVersion);
  const std::string loss = archive.text("a loss's version");
  if (loss != "loss_metric_" && loss != "loss_metric_2") {
    archive.fail(concat("expected 'loss_metric_', found '", printable(loss), "'"));
  }
  if (loss == "loss_metric_2") {
    for (const char* what : {"the loss's margin", "the loss's threshold"}) archive.real(what);
  }
  DlibNetwork network = read_dlib_network(archive);
  archive.finish();
  if (network.height == 0) throw InputError(concat(archive.file(), ": does not tell the size of its pictures"));
  EmbeddingModel model;
  model.network = concat("input ", network.height, "x", network.width, "x3\n", network.layers);
  model.preprocessing = {network.height, network.width, 3, std::move(network.mean), std::move(network.deviation)};
  model.parameters = std::move(network.parameters);
  check(archive, model.network, true);
  return model;
}

Model import_dlib_models(const DlibFiles& files, Device& device) {
  constexpr float kThreshold = 0.6F;
  DlibArchive detector = DlibArchive::open(files.detector), landmarks = DlibArchive::open(files.landmarks),
              archive = DlibArchive::open(files.embedding);
  const FaceModel faces{read_dlib_detector(detector), read_dlib_landmarks(landmarks)};
  EmbeddingModel embedding = read_dlib_embedding(archive);
  Model model(Network::parse(embedding.network, archive.file()), std::move(embedding.preprocessing), device, 0);
  TensorFile content;
  content.tensors = std::move(embedding.parameters);
  load_parameters(device, model.encoder().stream(), content, model.network().parameters(), archive.file());
  faces.add_to(model.faces);
  model.info.threshold = kThreshold;
  model.info.calibrated_on = "99.38 % on LFW, by its author";
  model.info.trained = "by Davis King on 3 million pictures of 7485 people, github.com/davisking/dlib-models, CC0 1.0";
  return model;
}

}  // namespace gemel
