// SPDX-License-Identifier: MIT
//
// gemel identify: who is it? The exit status answers for a single picture: 0 somebody of the gallery, 1 unknown.
// gemel search: which pictures of the gallery are nearest?
#include <algorithm>
#include <iostream>

#include "siamese/gallery.h"
#include "tools/gemel/inputs.h"

namespace gemel::cli {
namespace {

constexpr const char* kStranger = "unknown";

struct IdentifyFlags {
  DeviceOptions device;
  FaceFlags faces;
  std::string model, gallery, csv;
  std::vector<std::string> inputs;
  int top = 1;
  std::optional<double> threshold;  // none: the model's
  bool json = false;
};

// The people within the threshold, nearest first; `nearest` whoever that is.
struct Answer {
  std::vector<Neighbour> people;
  Neighbour nearest;
};

// Where the truth is known: how often the first answer is it.
struct Score {
  int enrolled = 0, right = 0, wrong = 0, refused = 0;  // pictures of people of the gallery
  int strangers = 0, accepted = 0;                      // pictures of others
};

Gallery open_gallery(const std::string& file, Model& model) {
  Gallery gallery = Gallery::load(file);
  gallery.require_model(model.fingerprint(), file);
  if (gallery.size() == 0) throw InputError(file + ": holds nobody; fill it with 'gemel enroll'");
  return gallery;
}

std::vector<Answer> answers(const IdentifyFlags& options, Model& model, const Gallery& gallery, const Inputs& inputs,
                            double threshold) {
  GallerySearch search(model.encoder(), gallery);
  std::vector<Answer> result;
  for (std::vector<Neighbour>& people :
       search.people(model.encoder().embed(inputs.pixels, inputs.size()), options.top)) {
    const Neighbour nearest = people.front();
    std::erase_if(people, [&](const Neighbour& person) { return !(person.distance <= threshold); });
    result.push_back({std::move(people), nearest});
  }
  return result;
}

Score score(const Gallery& gallery, const Inputs& inputs, const std::vector<Answer>& answers) {
  Score score;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (inputs.labels[i].empty()) continue;
    const int truth = gallery.find(inputs.labels[i]);
    const bool refused = answers[i].people.empty();
    if (truth < 0) {
      ++score.strangers;
      score.accepted += refused ? 0 : 1;
      continue;
    }
    ++score.enrolled;
    const bool right = gallery.person_of(answers[i].nearest.picture) == truth;
    ++(refused ? score.refused : right ? score.right : score.wrong);
  }
  return score;
}

std::string csv(const Gallery& gallery, const Inputs& inputs, const std::vector<Answer>& answers) {
  std::string text = "file,name,distance\n";
  auto line = [&](std::size_t i, const std::string& name, float distance) {
    text += csv_cell(inputs.names[i]) + "," + csv_cell(name) + "," + shortest(distance) + "\n";
  };
  for (std::size_t i = 0; i < answers.size(); ++i) {
    for (const Neighbour& person : answers[i].people) line(i, gallery.name_of(person.picture), person.distance);
    if (answers[i].people.empty()) line(i, kStranger, answers[i].nearest.distance);
  }
  return text;
}

Json json(const Gallery& gallery, const Neighbour& neighbour) {
  return {{"name", gallery.name_of(neighbour.picture)},
          {"distance", neighbour.distance},
          {"file", gallery.file_of(neighbour.picture)}};
}

Json json(const Gallery& gallery, const Inputs& inputs, const std::vector<Answer>& answers, const Score& score,
          double threshold) {
  Json pictures = Json::array();
  for (std::size_t i = 0; i < answers.size(); ++i) {
    Json people = Json::array();
    for (const Neighbour& person : answers[i].people) people.push_back(json(gallery, person));
    Json picture{{"file", inputs.names[i]}};
    if (inputs.faces[i]) picture["face"] = face_json(inputs.faces[i]);
    picture["known"] = !answers[i].people.empty();
    picture["people"] = std::move(people);
    picture["nearest"] = json(gallery, answers[i].nearest);
    pictures.push_back(std::move(picture));
  }
  Json all{{"threshold", threshold}, {"pictures", std::move(pictures)}};
  if (score.enrolled + score.strangers > 0) {
    all["truth"] = {{"known", {{"right", score.right}, {"wrong", score.wrong}, {"unknown", score.refused}}},
                    {"strangers", {{"unknown", score.strangers - score.accepted}, {"accepted", score.accepted}}}};
  }
  return all;
}

std::string text(const Gallery& gallery, const Inputs& inputs, const std::vector<Answer>& answers) {
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    for (const Neighbour& person : answers[i].people) {
      rows.push_back({inputs.names[i], gallery.name_of(person.picture), fixed(person.distance, 4)});
    }
    if (answers[i].people.empty()) rows.push_back({inputs.names[i], kStranger, fixed(answers[i].nearest.distance, 4)});
  }
  return align(rows);
}

// "anna 0.38", for pictures.
std::vector<std::string> captions(const Gallery& gallery, const std::vector<Answer>& answers) {
  std::vector<std::string> texts;
  for (const Answer& answer : answers) {
    const std::string name = answer.people.empty() ? kStranger : gallery.name_of(answer.nearest.picture);
    texts.push_back(concat(name, " ", fixed(answer.nearest.distance, 2)));
  }
  return texts;
}

std::string text(const Score& score) {
  std::string text;
  auto part = [](int count, int of, const char* what) {
    return concat(", ", thousands(count), " (", percent(static_cast<double>(count) / of), ") ", what);
  };
  if (score.enrolled > 0) {
    text += concat("people of the gallery: ", thousands(score.enrolled), " pictures",
                   part(score.right, score.enrolled, "right"), part(score.wrong, score.enrolled, "as somebody else"),
                   part(score.refused, score.enrolled, "as unknown"), "\n");
  }
  if (score.strangers > 0) {
    text += concat("strangers: ", thousands(score.strangers), " pictures",
                   part(score.strangers - score.accepted, score.strangers, "as unknown"),
                   part(score.accepted, score.strangers, "as somebody"), "\n");
  }
  return text;
}

int identify(const IdentifyFlags& options) {
  const bool csv_to_file = !options.csv.empty() && options.csv != "-";
  if (csv_to_file) check_writable(options.csv);
  auto device = options.device.open();
  Model model = Model::load(options.model, *device);
  const double threshold = threshold_for(model, options.model, options.threshold);
  const Gallery gallery = open_gallery(options.gallery, model);
  PictureReader reader(model, options.model, options.faces);
  const Inputs inputs = read_inputs(options.inputs, "", reader);
  const std::vector<Answer> all = answers(options, model, gallery, inputs, threshold);
  const Score truth = score(gallery, inputs, all);
  annotate_pictures(options.faces, inputs.names, inputs.faces, captions(gallery, all));
  if (csv_to_file) write_file(options.csv, csv(gallery, inputs, all));
  if (options.json) {
    std::cout << dump(json(gallery, inputs, all, truth, threshold)) << "\n";
  } else if (options.csv == "-") {
    std::cout << csv(gallery, inputs, all);
    std::cerr << text(truth);
  } else {
    if (!csv_to_file) std::cout << text(gallery, inputs, all);
    std::cout << text(truth);
  }
  return all.size() == 1 && all.front().people.empty() ? 1 : 0;
}

struct SearchFlags {
  DeviceOptions device;
  FaceFlags faces;
  std::string model, gallery, picture;
  int top = 5;
  bool json = false;
};

int search(const SearchFlags& options) {
  auto device = options.device.open();
  Model model = Model::load(options.model, *device);
  const Gallery gallery = open_gallery(options.gallery, model);
  PictureReader reader(model, options.model, options.faces);
  const std::vector<Portrait> portraits = reader.read(options.picture);
  if (portraits.empty()) throw InputError(concat(options.picture, ": ", reader.no_face()));
  if (portraits.size() > 1) {
    throw InputError(concat(options.picture, ": shows ", portraits.size(), " faces; --largest takes the largest"));
  }
  const std::vector<Neighbour> found =
      GallerySearch(model.encoder(), gallery)
          .pictures(model.encoder().embed(portraits.front().image.pixels, 1), options.top)
          .front();
  if (options.json) {
    Json list = Json::array();
    for (const Neighbour& neighbour : found) list.push_back(json(gallery, neighbour));
    std::cout << dump({{"picture", options.picture}, {"nearest", std::move(list)}}) << "\n";
    return 0;
  }
  std::vector<std::vector<std::string>> rows{{"rank", "name", "file", "distance"}};
  for (const Neighbour& neighbour : found) {
    rows.push_back({std::to_string(rows.size()), gallery.name_of(neighbour.picture), gallery.file_of(neighbour.picture),
                    fixed(neighbour.distance, 4)});
  }
  std::cout << align(rows);
  return 0;
}

}  // namespace

void add_identify(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("identify", "Tell whom pictures show, of the people in a gallery");
  auto options = std::make_shared<IdentifyFlags>();
  command->add_option("MODEL", options->model, "the model that made the gallery")->required();
  command->add_option("GALLERY", options->gallery, "a gallery from gemel enroll")->required();
  command->add_option("PICTURES", options->inputs, "pictures, and folders of pictures")->required();
  command->add_option("--top", options->top, "the K nearest people within the threshold, a line each")
      ->check(CLI::Range(1, 1000000))
      ->type_name("K")
      ->capture_default_str();
  command
      ->add_option("--threshold", options->threshold,
                   "the largest distance to somebody who is known (default: the model's)")
      ->check(CLI::NonNegativeNumber);
  auto* csv_option = command->add_option("--csv", options->csv, "write file,name,distance to this file; - is stdout")
                         ->type_name("FILE");
  command->add_flag("--json", options->json, "for machines")->excludes(csv_option);
  options->faces.add_to(*command, true, true);
  options->device.add_to(*command);
  command->footer(
      "A person is as near as the nearest of their pictures. Nobody within the threshold: 'unknown', with the "
      "distance\n"
      "of the nearest. In folders whose sub-folders tell the truth, the share of right answers is printed as well.\n"
      "The model's threshold was calibrated on pairs; the more people a gallery holds, the more chances a stranger "
      "has\n"
      "to be near one of them: lower it where strangers are to be refused.\n"
      "Exit status: 0; of a single picture 1 when it is unknown; 2 error.\n"
      "Examples:\n"
      "  gemel identify faces.safetensors people.gallery new.jpg\n"
      "  gemel identify faces.safetensors people.gallery album/ --csv album.csv\n"
      "  gemel identify faces.safetensors people.gallery test_people/ --threshold 0.8 --json");
  command->callback([options, &action] { action = [options] { return identify(*options); }; });
}

void add_search(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("search", "List the nearest pictures of a gallery");
  auto options = std::make_shared<SearchFlags>();
  command->add_option("MODEL", options->model, "the model that made the gallery")->required();
  command->add_option("GALLERY", options->gallery, "a gallery from gemel enroll")->required();
  command->add_option("PICTURE", options->picture, "a picture: PNG, JPEG, PGM/PPM, BMP")->required();
  command->add_option("--top", options->top, "how many")
      ->check(CLI::Range(1, 1000000))
      ->type_name("K")
      ->capture_default_str();
  command->add_flag("--json", options->json, "for machines");
  options->faces.add_to(*command, true, false);
  options->device.add_to(*command);
  command->footer(
      "Equal distances stand in the order in which they were enrolled.\n"
      "Example:\n"
      "  gemel search faces.safetensors people.gallery new.jpg --top 10");
  command->callback([options, &action] { action = [options] { return search(*options); }; });
}

}  // namespace gemel::cli
