// SPDX-License-Identifier: MIT
//
// Photographs as the commands take them: where a model finds faces, pictures are photographs and their faces are cut
// out; else, and with --aligned, a picture is what the network takes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "siamese/faces/face_finder.h"
#include "tools/gemel/command.h"

namespace gemel::cli {

struct FaceFlags {
  bool aligned = false, largest = false;
  int min_face = 0;      // 0: the detector's window
  std::string annotate;  // folder; empty: none

  // --aligned, --min-face; with `choice` --largest; with `drawing` --annotate.
  void add_to(CLI::App& command, bool choice, bool drawing);
};

// A face in a picture that was named; a whole picture where no faces are looked for.
struct Portrait {
  std::string file;
  std::optional<Face> face;
  Image image;  // the size that the model takes
};

// What a model sees in pictures. Borrows the model and the device.
class PictureReader {
 public:
  // Throws InputError naming `file` where the model's face part is damaged.
  PictureReader(Model& model, const std::string& file, const FaceFlags& flags);

  const Preprocessing& preprocessing() const { return model_.info.preprocessing; }
  bool finds_faces() const { return finder_ != nullptr; }
  // All faces, largest first (--largest: that one); a picture as it is where no faces are looked for.
  std::vector<Portrait> read(const std::string& file);
  // One sub-folder a person, or "idx:..."; the largest face of each picture. What has none is noted.
  Dataset read_dataset(const std::string& source, int limit = 0);
  // "no face of 80 pixels or more; --min-face N looks for smaller ones".
  std::string no_face() const;

 private:
  int min_face() const { return flags_.min_face > 0 ? flags_.min_face : finder_->window(); }

  Model& model_;
  FaceFlags flags_;
  std::unique_ptr<FaceFinder> finder_;  // null: pictures are taken as they are
};

// With --annotate: each picture with its faces' boxes, and texts[i] at that of faces[i] in files[i], as DIR/NAME.png; the
// faces of a picture are neighbours. Throws InputError where that cannot be written.
void annotate_pictures(const FaceFlags& flags, const std::vector<std::string>& files,
                       const std::vector<std::optional<Face>>& faces, const std::vector<std::string>& texts);

// {"left", "top", "right", "bottom", "score", "landmarks"}, or null.
Json face_json(const std::optional<Face>& face);

}  // namespace gemel::cli
