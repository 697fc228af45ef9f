// SPDX-License-Identifier: MIT
//
// Photographs for the commands.
#include "tools/gemel/faces.h"

#include <cmath>
#include <iostream>
#include <map>
#include <set>

#include "siamese/faces/annotate.h"
#include "tools/gemel/png.h"

namespace gemel::cli {
namespace {

namespace fs = std::filesystem;

// One line on a terminal that tells how far a folder is.
class PictureCount {
 public:
  ~PictureCount() {
    if (shown_) std::cerr << "\r\033[K" << std::flush;
  }
  void next() {
    ++count_;
    if (!terminal_on_stderr()) return;
    std::cerr << "\rlooked for faces in " << thousands(count_) << " pictures" << std::flush;
    shown_ = true;
  }

 private:
  long long count_ = 0;
  bool shown_ = false;
};

// A name of its own for each picture: its file's, numbered where two folders have the same.
std::string unused_name(const fs::path& file, std::set<std::string>& used) {
  const std::string stem = file.stem().string();
  std::string name = stem + ".png";
  for (int i = 2; !used.insert(name).second; ++i) name = concat(stem, "-", i, ".png");
  return name;
}

}  // namespace

void FaceFlags::add_to(CLI::App& command, bool choice, bool drawing) {
  const std::string group = "Photographs, for models that find faces";
  auto* as_they_are =
      command.add_flag("--aligned", aligned, "pictures are faces cut out already: look for none")->group(group);
  command
      .add_option("--min-face", min_face,
                  "smallest face to look for, in pixels (default: the detector's 80); smaller takes longer")
      ->check(CLI::Range(20, 10000))
      ->type_name("N")
      ->excludes(as_they_are)
      ->group(group);
  if (choice) command.add_flag("--largest", largest, "of several faces in a picture, the largest alone")->group(group);
  if (drawing) {
    command.add_option("--annotate", annotate, "write each picture with boxes and names into this folder, as PNG")
        ->type_name("DIR")
        ->excludes(as_they_are)
        ->group(group);
  }
}

PictureReader::PictureReader(Model& model, const std::string& file, const FaceFlags& flags)
    : model_(model), flags_(flags) {
  const bool has_faces = !model.faces.metadata.empty() || !model.faces.tensors.empty();
  if (!has_faces && (flags.min_face > 0 || flags.largest || !flags.annotate.empty())) {
    throw InputError(concat(file, ": this model finds no faces: it takes pictures as they are"));
  }
  if (!has_faces || flags.aligned) return;
  const Preprocessing& preprocessing = model.info.preprocessing;
  if (preprocessing.height != preprocessing.width || preprocessing.channels != 3) {
    throw InputError(
        concat(file, ": finds faces, but its network takes no square colour pictures; the file is damaged"));
  }
  finder_ =
      std::make_unique<FaceFinder>(FaceModel::from(model.faces, file), model.encoder().device(), preprocessing.height);
}

std::string PictureReader::no_face() const {
  return concat("no face of ", min_face(), " pixels or more found; --min-face N looks for smaller ones");
}

std::vector<Portrait> PictureReader::read(const std::string& file) {
  if (!finds_faces()) return {{file, {}, load_picture(file, model_.info.preprocessing)}};
  std::vector<Portrait> portraits;
  for (FoundFace& found : finder_->find(read_image(file, 3), min_face())) {
    portraits.push_back({file, found.face, std::move(found.chip)});
    if (flags_.largest) break;
  }
  return portraits;
}

Dataset PictureReader::read_dataset(const std::string& source, int limit) {
  if (!finds_faces() || source.starts_with("idx:")) {
    LoadOptions load = load_options_for(model_.info.preprocessing);
    load.limit = limit;
    return load_dataset(source, load);
  }
  int pictures = 0, without = 0, several = 0;
  std::string example;
  Dataset data;
  {
    PictureCount count;
    data = load_face_dataset(source, *finder_, min_face(), limit, [&](const std::string& file, int faces) {
      count.next();
      ++pictures;
      several += faces > 1;
      if (faces == 0 && without++ == 0) example = file;
    });
  }
  if (without > 0) {
    note(concat(without, " of ", pictures, " pictures are left out, ", example, without > 1 ? " the first: " : ": ",
                no_face()));
  }
  if (several > 0) note(concat(several, " of ", pictures, " pictures show several faces: the largest is taken"));
  return data;
}

void annotate_pictures(const FaceFlags& flags, const std::vector<std::string>& files,
                       const std::vector<std::optional<Face>>& faces, const std::vector<std::string>& texts) {
  if (flags.annotate.empty()) return;
  std::error_code error;
  fs::create_directories(flags.annotate, error);
  if (error) throw InputError(concat(flags.annotate, ": cannot be made: ", error.message()));
  std::set<std::string> used;
  for (std::size_t i = 0; i < files.size();) {
    std::vector<Annotation> marks;
    std::size_t j = i;
    for (; j < files.size() && files[j] == files[i]; ++j) {
      if (faces[j]) marks.push_back({faces[j]->box, faces[j]->landmarks, texts[j]});
    }
    const Image drawn = annotate(read_image(files[i], 3), marks);
    write_file(fs::path(flags.annotate) / unused_name(files[i], used), png(drawn.pixels, drawn.height, drawn.width, 3));
    i = j;
  }
}

Json face_json(const std::optional<Face>& face) {
  if (!face) return {};
  const Box& box = face->box;
  Json landmarks = Json::array();
  for (const Point& point : face->landmarks) landmarks.push_back({point.x, point.y});
  return {{"left", box.left},     {"top", box.top},       {"right", box.right},
          {"bottom", box.bottom}, {"score", face->score}, {"landmarks", std::move(landmarks)}};
}

}  // namespace gemel::cli
