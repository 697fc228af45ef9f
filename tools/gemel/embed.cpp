// SPDX-License-Identifier: MIT
//
// gemel embed: pictures -> embeddings, as CSV, JSON or safetensors; or a comparison of two devices.
#include <algorithm>
#include <cmath>
#include <iostream>

#include "engine/checkpoint.h"
#include "tools/gemel/inputs.h"

namespace gemel::cli {
namespace {

namespace fs = std::filesystem;

// The largest difference of two devices' embeddings as a share of the largest number in them: what f32 sums in two
// orders may differ by, with room; a wrong kernel is far off.
constexpr double kDeviceTolerance = 1e-4;

struct EmbedFlags {
  DeviceOptions device;
  FaceFlags faces;
  std::string model, output, rows, compare;
  std::vector<std::string> inputs;
  bool json = false;
};

std::string csv(const Inputs& inputs, const std::vector<float>& e) {
  std::size_t d = e.size() / static_cast<std::size_t>(inputs.size());
  std::string text = "file,label";
  for (std::size_t j = 0; j < d; ++j) text += concat(",e", j);
  text += "\n";
  for (std::size_t i = 0; i < inputs.names.size(); ++i) {
    text += csv_cell(inputs.names[i]) + "," + csv_cell(inputs.labels[i]);
    for (std::size_t j = 0; j < d; ++j) text += "," + shortest(e[i * d + j]);
    text += "\n";
  }
  return text;
}

std::string json(const Inputs& inputs, const std::vector<float>& e) {
  auto d = static_cast<std::ptrdiff_t>(e.size()) / inputs.size();
  Json list = Json::array();
  for (int i = 0; i < inputs.size(); ++i) {
    auto row = static_cast<std::size_t>(i);
    Json entry{{"file", inputs.names[row]}, {"label", inputs.labels[row]}};
    if (inputs.faces[row]) entry["face"] = face_json(inputs.faces[row]);
    entry["embedding"] = std::vector<float>(e.begin() + i * d, e.begin() + (i + 1) * d);
    list.push_back(std::move(entry));
  }
  return dump(list, -1) + "\n";
}

TensorFile tensors(const Inputs& inputs, const std::vector<float>& e) {
  TensorFile file;
  file.tensors["embeddings"] = {{inputs.size(), static_cast<std::int64_t>(e.size()) / inputs.size()}, e};
  file.metadata["files"] = dump(inputs.names, -1);
  file.metadata["labels"] = dump(inputs.labels, -1);
  return file;
}

int compare_devices(const EmbedFlags& options, const Inputs& inputs, const Device& first, const std::vector<float>& e) {
  auto device = open_device(options.compare);
  Model model = Model::load(options.model, *device);
  std::vector<float> other = model.encoder().embed(inputs.pixels, inputs.size());
  double difference = 0, largest = 0;
  for (std::size_t i = 0; i < e.size(); ++i) {
    difference = std::max(difference, std::abs(double{e[i]} - other[i]));
    largest = std::max(largest, std::abs(double{e[i]}));
    if (!std::isfinite(e[i]) || !std::isfinite(other[i])) difference = INFINITY;
  }
  bool same = difference <= kDeviceTolerance * largest;
  if (options.json) {
    Json result{{"images", inputs.size()},
                {"devices", {first.name(), device->name()}},
                {"difference", difference},
                {"largest", largest},
                {"same", same}};
    std::cout << dump(result) << "\n";
  } else {
    char text[96];
    std::snprintf(text, sizeof text, "largest difference %.3g, of numbers up to %.3g: %s", difference, largest,
                  same ? "same" : "DIFFERENT");
    std::cout << inputs.size() << " images on " << first.name() << " and " << device->name() << ": " << text << "\n";
  }
  return same ? 0 : 1;
}

int embed(const EmbedFlags& options) {
  fs::path output = options.output;
  std::string kind = output.extension().string();
  if (!options.output.empty()) {
    if (kind != ".csv" && kind != ".json" && kind != ".safetensors") {
      throw InputError(concat(options.output, ": embeddings are written as .csv, .json or .safetensors"));
    }
    check_writable(output);
  }
  auto device = options.device.open();
  Model model = Model::load(options.model, *device);
  PictureReader reader(model, options.model, options.faces);
  Inputs inputs = read_inputs(options.inputs, options.rows, reader);
  std::vector<float> e = model.encoder().embed(inputs.pixels, inputs.size());
  annotate_pictures(options.faces, inputs.names, inputs.faces, inputs.labels);
  if (!options.compare.empty()) return compare_devices(options, inputs, *device, e);
  if (options.output.empty()) {
    std::cout << (options.json ? json(inputs, e) : csv(inputs, e));
  } else if (kind == ".safetensors") {
    write_tensors(output, tensors(inputs, e));
  } else {
    write_file(output, kind == ".json" ? json(inputs, e) : csv(inputs, e));
  }
  return 0;
}

}  // namespace

void add_embed(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("embed", "Turn pictures into embeddings");
  auto options = std::make_shared<EmbedFlags>();
  command->add_option("MODEL", options->model, "a model from gemel train or gemel import")->required();
  command->add_option("INPUT", options->inputs, "pictures, and data sets")->required();
  command->add_option("-o,--output", options->output, "FILE.csv, .json or .safetensors (default: CSV on stdout)")
      ->type_name("FILE");
  command->add_option("--rows", options->rows, "only these rows of a data set: 3,17,40:50")->type_name("ROWS");
  command
      ->add_option("--compare-device", options->compare,
                   "compute on this device too, print the largest difference; exit status 1 if they disagree")
      ->type_name("DEVICE");
  command->add_flag("--json", options->json, "JSON on stdout");
  options->faces.add_to(*command, true, true);
  options->device.add_to(*command);
  command->footer(
      "CSV: file,label,e0,e1,...; the label of a single picture is empty. Of a model that finds faces (gemel import)\n"
      "each face is a line, a picture's largest first; JSON tells where it is.\n"
      "Examples:\n"
      "  gemel embed faces.safetensors a.png b.png\n"
      "  gemel embed faces.safetensors faces/ -o faces.csv\n"
      "  gemel embed faces.safetensors faces/ --rows 0:64 --device cpu --compare-device simt");
  command->callback([options, &action] { action = [options] { return embed(*options); }; });
}

}  // namespace gemel::cli
