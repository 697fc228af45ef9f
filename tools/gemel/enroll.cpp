// SPDX-License-Identifier: MIT
//
// gemel enroll: who is who. Pictures of people by name into a gallery, which identify and search read.
#include <algorithm>
#include <iostream>
#include <set>

#include "siamese/gallery.h"
#include "tools/gemel/inputs.h"

namespace gemel::cli {
namespace {

namespace fs = std::filesystem;

struct EnrollFlags {
  DeviceOptions device;
  FaceFlags faces;
  std::string model, gallery, name;
  std::vector<std::string> inputs, remove;
  bool replace = false, json = false;
};

struct Enrolled {
  int added = 0, renewed = 0, removed = 0;
};

// Whom each picture shows; empty: it is passed over.
std::vector<std::string> names_of(const EnrollFlags& options, const Inputs& inputs) {
  std::vector<std::string> names = inputs.labels;
  if (!options.name.empty()) names.assign(names.size(), options.name);
  const auto nameless = std::count(names.begin(), names.end(), "");
  if (nameless == static_cast<std::ptrdiff_t>(names.size())) {
    throw InputError(
        concat(options.inputs.front(), ": who is it? Give --name NAME, or a folder with one sub-folder a person"));
  }
  if (nameless > 0) note(concat(nameless, " pictures outside of any sub-folder are passed over (--name names them)"));
  return names;
}

// Whose face is it, of several in a picture? Nobody knows: such pictures teach nothing wrong if they are passed over.
void pass_over_groups(const Inputs& inputs, std::vector<std::string>& names) {
  for (std::size_t i = 0, end; i < names.size(); i = end) {
    end = i + 1;
    while (end < names.size() && inputs.names[end] == inputs.names[i]) ++end;
    if (end == i + 1 || !inputs.faces[i]) continue;
    note(concat(inputs.names[i], ": shows ", end - i, " faces and is passed over; --largest takes the largest"));
    std::fill(names.begin() + static_cast<std::ptrdiff_t>(i), names.begin() + static_cast<std::ptrdiff_t>(end), "");
  }
  if (std::all_of(names.begin(), names.end(), [](const std::string& name) { return name.empty(); })) {
    throw InputError(
        concat(inputs.names.front(), ": no picture of a single face; --largest takes the largest of each"));
  }
}

void remove_people(const EnrollFlags& options, Gallery& gallery, Enrolled& counts) {
  for (const std::string& name : options.remove) {
    const int removed = gallery.remove(name);
    if (removed == 0) throw InputError(concat(options.gallery, ": holds nobody named '", name, "'"));
    counts.removed += removed;
  }
}

void add_pictures(const EnrollFlags& options, Model& model, Gallery& gallery, Enrolled& counts) {
  PictureReader reader(model, options.model, options.faces);
  const Inputs inputs = read_inputs(options.inputs, "", reader);
  std::vector<std::string> names = names_of(options, inputs);
  pass_over_groups(inputs, names);
  const std::vector<float> embeddings = model.encoder().embed(inputs.pixels, inputs.size());
  if (options.replace) {
    for (const std::string& name : std::set<std::string>(names.begin(), names.end())) {
      counts.removed += gallery.remove(name);
    }
  }
  const std::span<const float> rows(embeddings);
  const auto d = static_cast<std::size_t>(gallery.embedding_size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty()) continue;
    ++(gallery.add(names[i], inputs.names[i], rows.subspan(i * d, d)) ? counts.added : counts.renewed);
  }
  annotate_pictures(options.faces, inputs.names, inputs.faces, names);
}

int enroll(const EnrollFlags& options) {
  if (options.inputs.empty() && options.remove.empty()) {
    throw InputError("enroll: nothing to do; name pictures or folders, or --remove somebody");
  }
  check_writable(options.gallery);
  auto device = options.device.open();
  Model model = Model::load(options.model, *device);
  Gallery gallery(model.fingerprint(), model.network().embedding_size());
  if (fs::exists(options.gallery)) {
    gallery = Gallery::load(options.gallery);
    gallery.require_model(model.fingerprint(), options.gallery);
  }
  Enrolled counts;
  remove_people(options, gallery, counts);
  if (!options.inputs.empty()) add_pictures(options, model, gallery, counts);
  gallery.save(options.gallery);
  if (options.json) {
    std::cout << dump({{"gallery", options.gallery},
                       {"added", counts.added},
                       {"renewed", counts.renewed},
                       {"removed", counts.removed},
                       {"pictures", gallery.size()},
                       {"people", gallery.people().size()}})
              << "\n";
  } else {
    std::cout << thousands(counts.added) << " pictures added, " << thousands(counts.renewed) << " renewed, "
              << thousands(counts.removed) << " removed; " << options.gallery << " holds " << thousands(gallery.size())
              << " of " << thousands(static_cast<long long>(gallery.people().size())) << " people\n";
  }
  return 0;
}

}  // namespace

void add_enroll(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("enroll", "Put people's pictures into a gallery, for identify and search");
  auto options = std::make_shared<EnrollFlags>();
  command->add_option("MODEL", options->model, "a model from gemel train or gemel import")->required();
  command->add_option("GALLERY", options->gallery, "the gallery's file, made if it does not exist")->required();
  command->add_option("PICTURES", options->inputs, "folders with one sub-folder a person; with --name, pictures too");
  command->add_option("--name", options->name, "all the pictures show this person")->type_name("NAME");
  command->add_flag("--replace", options->replace, "forget the pictures that these people had before");
  command->add_option("--remove", options->remove, "forget this person; may be repeated")
      ->type_name("NAME")
      ->expected(1)
      ->allow_extra_args(false);
  command->add_flag("--json", options->json, "for machines");
  options->faces.add_to(*command, true, true);
  options->device.add_to(*command);
  command->footer(
      "A file enrolled again for the same person takes the place of what it was. A gallery belongs to the model that\n"
      "made it: another model, or the same one trained further, refuses it.\n"
      "Examples:\n"
      "  gemel enroll faces.safetensors people.gallery people/\n"
      "  gemel enroll faces.safetensors people.gallery --name anna anna1.jpg anna2.jpg\n"
      "  gemel enroll faces.safetensors people.gallery --remove ben");
  command->callback([options, &action] { action = [options] { return enroll(*options); }; });
}

}  // namespace gemel::cli
