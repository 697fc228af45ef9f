// SPDX-License-Identifier: MIT
//
// gemel verify: are two pictures of one identity? The exit status answers: 0 same, 1 different.
#include <algorithm>
#include <cmath>
#include <iostream>
#include <span>

#include "tools/gemel/faces.h"

namespace gemel::cli {
namespace {

struct VerifyOptions {
  DeviceOptions device;
  FaceFlags faces;
  std::string model, a, b;
  std::optional<double> threshold;  // none: the model's
  bool json = false;
};

// distances[i][j]: of a[i] and b[j].
std::vector<std::vector<double>> compare(Model& model, const std::string& file, const std::vector<Portrait>& a,
                                         const std::vector<Portrait>& b) {
  std::vector<std::uint8_t> pixels;
  for (const std::vector<Portrait>* side : {&a, &b}) {
    for (const Portrait& portrait : *side) {
      pixels.insert(pixels.end(), portrait.image.pixels.begin(), portrait.image.pixels.end());
    }
  }
  const auto count = static_cast<int>(a.size() + b.size());
  const std::vector<float> e = model.encoder().embed(pixels, count, count);
  const std::span<const float> rows(e);
  const std::size_t d = e.size() / static_cast<std::size_t>(count);
  std::vector<std::vector<double>> distances(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < b.size(); ++j) {
      const double distance =
          model.encoder().distances(rows.subspan(i * d, d), rows.subspan((a.size() + j) * d, d)).front();
      if (!std::isfinite(distance)) throw InputError(file + ": gives embeddings that are not finite numbers");
      distances[i].push_back(distance);
    }
  }
  return distances;
}

std::vector<Portrait> portraits_of(PictureReader& reader, const std::string& file) {
  std::vector<Portrait> portraits = reader.read(file);
  if (portraits.empty()) throw InputError(concat(file, ": ", reader.no_face()));
  return portraits;
}

std::string table(const VerifyOptions& options, const std::vector<std::vector<double>>& distances, double threshold) {
  std::vector<std::vector<std::string>> rows{{"face of " + options.a, "face of " + options.b, "distance", "answer"}};
  for (std::size_t i = 0; i < distances.size(); ++i) {
    for (std::size_t j = 0; j < distances[i].size(); ++j) {
      rows.push_back({std::to_string(i + 1), std::to_string(j + 1), fixed(distances[i][j], 4),
                      distances[i][j] <= threshold ? "same" : "different"});
    }
  }
  return align(rows);
}

Json pairs_json(const std::vector<Portrait>& a, const std::vector<Portrait>& b,
                const std::vector<std::vector<double>>& distances, double threshold) {
  Json pairs = Json::array();
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < b.size(); ++j) {
      pairs.push_back({{"a", face_json(a[i].face)},
                       {"b", face_json(b[j].face)},
                       {"distance", distances[i][j]},
                       {"same", distances[i][j] <= threshold}});
    }
  }
  return pairs;
}

void draw(const VerifyOptions& options, const std::vector<Portrait>& a, const std::vector<Portrait>& b) {
  for (const std::vector<Portrait>* side : {&a, &b}) {
    std::vector<std::string> files, texts;
    std::vector<std::optional<Face>> faces;
    for (const Portrait& portrait : *side) {
      files.push_back(portrait.file);
      faces.push_back(portrait.face);
      texts.push_back(side->size() == 1 ? "" : concat("face ", files.size()));
    }
    annotate_pictures(options.faces, files, faces, texts);
  }
}

int verify(const VerifyOptions& options) {
  auto device = options.device.open();
  Model model = Model::load(options.model, *device);
  const double threshold = threshold_for(model, options.model, options.threshold);
  PictureReader reader(model, options.model, options.faces);
  const std::vector<Portrait> a = portraits_of(reader, options.a), b = portraits_of(reader, options.b);
  const std::vector<std::vector<double>> distances = compare(model, options.model, a, b);
  double nearest = distances[0][0];
  for (const std::vector<double>& row : distances)
    nearest = std::min(nearest, *std::min_element(row.begin(), row.end()));
  const bool same = nearest <= threshold, several = a.size() > 1 || b.size() > 1;
  draw(options, a, b);
  if (options.json) {
    Json json{{"a", options.a}, {"b", options.b}, {"distance", nearest}, {"threshold", threshold}, {"same", same}};
    if (reader.finds_faces()) json["faces"] = pairs_json(a, b, distances, threshold);
    std::cout << dump(json) << "\n";
    return same ? 0 : 1;
  }
  if (several) {
    std::cout << options.a << " shows " << a.size() << (a.size() == 1 ? " face, " : " faces, ") << options.b << " "
              << b.size() << " (largest first; --largest compares these alone)\n"
              << table(options, distances, threshold);
  }
  std::cout << (several ? "nearest " : "distance ") << fixed(nearest, 4) << "  threshold " << fixed(threshold, 4)
            << "  " << (same ? "same" : "different") << "\n";
  return same ? 0 : 1;
}

}  // namespace

void add_verify(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("verify", "Tell whether two pictures show the same identity");
  auto options = std::make_shared<VerifyOptions>();
  command->add_option("MODEL", options->model, "a model from gemel train or gemel import")->required();
  command->add_option("A", options->a, "a picture: PNG, JPEG, PGM/PPM, BMP")->required();
  command->add_option("B", options->b, "another one")->required();
  command->add_option("--threshold", options->threshold, "the largest distance that is 'same' (default: the model's)");
  command->add_flag("--json", options->json, "for machines");
  options->faces.add_to(*command, true, true);
  options->device.add_to(*command);
  command->footer(
      "Exit status: 0 same, 1 different, 2 error. A model that finds faces (gemel import) compares those in the\n"
      "photographs: of several faces all pairs, and 'same' is said if any pair is. For other models pictures of\n"
      "another size are resized to the model's.\n"
      "Examples:\n"
      "  gemel verify faces.safetensors a.jpg b.jpg && echo same\n"
      "  gemel verify model.safetensors a.png b.png --threshold 0.8 --json");
  command->callback([options, &action] { action = [options] { return verify(*options); }; });
}

}  // namespace gemel::cli
