// SPDX-License-Identifier: MIT
//
// Gallery: the embeddings of pictures of people by name, and the search for whom a new picture shows (1:N recognition).
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "siamese/twin_encoder.h"

namespace gemel {

// Pictures keep the order in which they were added, people that of their first picture.
class Gallery {
 public:
  // An empty one, for embeddings of `d` numbers by the model of that fingerprint (Model::fingerprint).
  Gallery(std::string fingerprint, int d);
  // One safetensors file: embeddings (N,D), people (N) as indices into the list of names in its metadata. load throws
  // InputError naming the file and what is wrong with it; both allocate nothing that the file's size does not justify.
  static Gallery load(const std::filesystem::path& file);
  void save(const std::filesystem::path& file) const;  // whole or not at all; throws InputError

  // Throws InputError, which names `file`, unless the gallery is that model's.
  void require_model(const std::string& fingerprint, const std::string& file) const;

  // false: this person's picture of that file was there already and has a new embedding. Names that are no UTF-8 are
  // made so. Throws InputError for an empty name and for "unknown", which is an answer; ShapeError, Error unless
  // `embedding` is D finite numbers.
  bool add(const std::string& person, const std::string& file, std::span<const float> embedding);
  // With all pictures, whose number it tells; 0: no such person.
  int remove(const std::string& person);

  int find(const std::string& person) const;  // its number; -1: nobody of that name

  int size() const { return static_cast<int>(files_.size()); }  // pictures
  int embedding_size() const { return d_; }
  const std::vector<std::string>& people() const { return people_; }
  int person_of(int picture) const { return person_of_[static_cast<std::size_t>(picture)]; }
  const std::string& name_of(int picture) const { return people_[static_cast<std::size_t>(person_of(picture))]; }
  const std::string& file_of(int picture) const { return files_[static_cast<std::size_t>(picture)]; }
  std::span<const float> embeddings() const { return embeddings_; }  // (N,D)

 private:
  void index();  // fills picture_index_, once

  std::string fingerprint_;
  int d_;
  std::vector<float> embeddings_;
  std::vector<std::int32_t> person_of_;
  std::vector<std::string> people_, files_;
  std::unordered_map<std::string, std::int32_t> person_index_;  // name -> person
  std::unordered_map<std::string, int> picture_index_;          // person and file -> picture
  bool indexed_ = false;                                        // not before the first add
};

struct Neighbour {
  int picture;
  float distance;
};

// A gallery in the memory of the encoder's device. Borrows both; the gallery must not change while it is searched.
class GallerySearch {
 public:
  // Throws ShapeError when the gallery's embeddings are not the encoder's size.
  GallerySearch(TwinEncoder& encoder, const Gallery& gallery);

  // The k pictures (all, if there are fewer) nearest to each of the n rows of `embeddings` (n,D) by the encoder's
  // metric: n lists, nearest first, equal distances in the gallery's order. Throws ShapeError, or Error where a number
  // is not finite or k < 1.
  std::vector<std::vector<Neighbour>> pictures(std::span<const float> embeddings, int k);
  // The k nearest people: a person is as near as their nearest picture, which stands for them.
  std::vector<std::vector<Neighbour>> people(std::span<const float> embeddings, int k);

 private:
  void by_kernel(int n, int k, std::vector<std::vector<Neighbour>>& found);
  void by_matrix(int n, int k, std::vector<std::vector<Neighbour>>& found);

  TwinEncoder& encoder_;
  const Gallery& gallery_;
  Buffer rows_, queries_, scratch_, distances_, indices_;  // (N,D); what a search needs, kept for the next
};

}  // namespace gemel
