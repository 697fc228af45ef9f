// SPDX-License-Identifier: MIT
//
// The gallery as a list, and its file.
#include "siamese/gallery.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/checkpoint.h"
#include "engine/error.h"
#include "siamese/utf8.h"

namespace gemel {
namespace {

constexpr const char* kFormat = "1";
constexpr const char* kUnknown = "unknown";         // what identify answers for a stranger
constexpr std::int64_t kMostPictures = 16'777'216;  // 2^24: indices are stored as floats, and exact

// A picture's key in the index: no name holds a NUL that a file's could be confused by, as the person is a number.
std::string picture_key(std::int32_t person, const std::string& file) { return concat(person, '/', file); }

const char* problem_with_name(const std::string& name) {
  if (name.empty()) return "a person's name is empty";
  if (name == kUnknown) return "no person can be named 'unknown', which is the answer for a stranger";
  return nullptr;
}

// A gallery's file as it is read; errors name it.
class GalleryFile {
 public:
  explicit GalleryFile(const std::filesystem::path& path) : name_(path.string()), content_(read_tensors(path)) {
    if (const std::string& format = metadata("gemel.gallery"); format != kFormat) {
      fail(concat("has gallery format '", format, "'; this build reads format ", kFormat));
    }
  }

  [[noreturn]] void fail(const std::string& what) const { throw InputError(concat(name_, ": ", what)); }
  [[noreturn]] void fail_damaged(const std::string& what) const { fail(concat(what, "; the file is damaged")); }

  const std::string& metadata(const std::string& key) const {
    const auto found = content_.metadata.find(key);
    if (found == content_.metadata.end()) {
      fail(concat("is not a gallery: its metadata has no ", key, "; make one with 'gemel enroll'"));
    }
    return found->second;
  }

  std::vector<std::string> texts(const std::string& key) const {
    try {
      return nlohmann::json::parse(metadata(key)).get<std::vector<std::string>>();
    } catch (const nlohmann::json::exception&) {
      fail_damaged(concat("its ", key, " is not a list of texts"));
    }
  }

  TensorFile::Tensor take(const std::string& name, std::size_t rank) {
    const auto found = content_.tensors.find(name);
    if (found == content_.tensors.end()) fail_damaged(concat("has no tensor ", name));
    if (found->second.shape.size() != rank) {
      fail_damaged(concat("its tensor ", name, " has ", found->second.shape.size(), " dimensions, not ", rank));
    }
    return std::move(found->second);
  }

 private:
  std::string name_;
  TensorFile content_;
};

}  // namespace

Gallery::Gallery(std::string fingerprint, int d) : fingerprint_(std::move(fingerprint)), d_(d) {
  if (d < 1) throw ShapeError(concat("gallery: an embedding has at least 1 number, not ", d));
}

Gallery Gallery::load(const std::filesystem::path& path) {
  GalleryFile file(path);
  const std::string fingerprint = file.metadata("gemel.fingerprint");
  std::vector<std::string> people = file.texts("gemel.people"), files = file.texts("gemel.files");
  TensorFile::Tensor embeddings = file.take("embeddings", 2), person = file.take("people", 1);
  const auto n = static_cast<std::int64_t>(files.size()), d = embeddings.shape[1];
  if (n > kMostPictures) file.fail(concat("holds ", n, " pictures; at most ", kMostPictures, " can be"));
  if (embeddings.shape[0] != n || person.shape[0] != n) {
    file.fail_damaged(concat("holds ", embeddings.shape[0], " embeddings of ", person.shape[0],
                             " people's pictures, but ", n, " names of files"));
  }
  if (d < 1 || d > 65536) file.fail_damaged(concat("its embeddings have ", d, " numbers"));
  if (!std::all_of(embeddings.values.begin(), embeddings.values.end(), [](float x) { return std::isfinite(x); })) {
    file.fail_damaged("an embedding is not finite");
  }

  Gallery gallery(fingerprint, static_cast<int>(d));
  std::vector<bool> seen(people.size(), false);
  for (const float index : person.values) {
    const bool whole = index >= 0 && index < static_cast<float>(people.size()) && index == std::floor(index);
    if (!whole) file.fail_damaged(concat("a picture is of person ", index, " of ", people.size()));
    gallery.person_of_.push_back(static_cast<std::int32_t>(index));
    seen[static_cast<std::size_t>(index)] = true;
  }
  if (std::find(seen.begin(), seen.end(), false) != seen.end()) file.fail_damaged("a person has no picture");
  for (const std::string& name : people) {
    if (const char* problem = problem_with_name(name)) file.fail_damaged(problem);
    const auto number = static_cast<std::int32_t>(gallery.person_index_.size());
    if (!gallery.person_index_.emplace(name, number).second) file.fail_damaged("a person's name is there twice");
  }
  gallery.people_ = std::move(people);
  gallery.files_ = std::move(files);
  gallery.embeddings_ = std::move(embeddings.values);
  return gallery;
}

void Gallery::save(const std::filesystem::path& file) const {
  TensorFile content;
  content.metadata = {{"gemel.gallery", kFormat},
                      {"gemel.fingerprint", fingerprint_},
                      {"gemel.people", nlohmann::json(people_).dump()},
                      {"gemel.files", nlohmann::json(files_).dump()}};
  content.tensors["embeddings"] = {{size(), d_}, embeddings_};
  content.tensors["people"] = {{size()}, {person_of_.begin(), person_of_.end()}};
  write_tensors(file, content);
}

void Gallery::require_model(const std::string& fingerprint, const std::string& file) const {
  if (fingerprint == fingerprint_) return;
  throw InputError(concat(file, ": was made by another model (", fingerprint_, ", not ", fingerprint,
                          "); enroll its pictures again with this one, into a new gallery"));
}

void Gallery::index() {
  if (indexed_) return;
  indexed_ = true;
  for (int i = 0; i < size(); ++i) picture_index_.emplace(picture_key(person_of(i), file_of(i)), i);
}

bool Gallery::add(const std::string& person, const std::string& file, std::span<const float> embedding) {
  if (const char* problem = problem_with_name(person)) throw InputError(concat(file, ": ", problem));
  if (embedding.size() != static_cast<std::size_t>(d_)) {
    throw ShapeError(concat("gallery: ", embedding.size(), " numbers are not an embedding of ", d_));
  }
  if (!std::all_of(embedding.begin(), embedding.end(), [](float x) { return std::isfinite(x); })) {
    throw Error(concat(file, ": its embedding is not finite; the model is not usable"));
  }
  if (size() == kMostPictures) throw InputError(concat("a gallery holds at most ", kMostPictures, " pictures"));
  index();
  const std::string name = valid_utf8(person), named_file = valid_utf8(file);
  const auto [known, is_new] = person_index_.emplace(name, static_cast<std::int32_t>(people_.size()));
  if (is_new) people_.push_back(name);
  const auto [picture, is_added] = picture_index_.emplace(picture_key(known->second, named_file), size());
  if (!is_added) {
    std::copy(embedding.begin(), embedding.end(), embeddings_.begin() + std::ptrdiff_t{picture->second} * d_);
    return false;
  }
  files_.push_back(named_file);
  person_of_.push_back(known->second);
  embeddings_.insert(embeddings_.end(), embedding.begin(), embedding.end());
  return true;
}

int Gallery::find(const std::string& person) const {
  const auto found = person_index_.find(valid_utf8(person));
  return found == person_index_.end() ? -1 : found->second;
}

int Gallery::remove(const std::string& person) {
  const int gone = find(person);
  if (gone < 0) return 0;
  std::size_t kept = 0;
  const auto d = static_cast<std::size_t>(d_);
  for (std::size_t i = 0; i < files_.size(); ++i) {
    if (person_of_[i] == gone) continue;
    person_of_[kept] = person_of_[i] - (person_of_[i] > gone ? 1 : 0);
    if (kept != i) {
      files_[kept] = std::move(files_[i]);
      std::copy_n(embeddings_.begin() + static_cast<std::ptrdiff_t>(i * d), d,
                  embeddings_.begin() + static_cast<std::ptrdiff_t>(kept * d));
    }
    ++kept;
  }
  const int removed = size() - static_cast<int>(kept);
  files_.resize(kept);
  person_of_.resize(kept);
  embeddings_.resize(kept * d);
  people_.erase(people_.begin() + gone);
  person_index_.clear();
  for (const std::string& name : people_) person_index_.emplace(name, static_cast<std::int32_t>(person_index_.size()));
  picture_index_.clear();
  indexed_ = false;
  return removed;
}

}  // namespace gemel
