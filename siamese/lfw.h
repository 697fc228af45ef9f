// SPDX-License-Identifier: MIT
//
// Lists of pairs in the format of Labeled Faces in the Wild (Huang, Ramesh, Berg, Learned-Miller 2007): pairs.txt of
// View 2, and whatever else is written like it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "siamese/evaluate.h"

namespace gemel {

// The file: "FOLDS <tab> N", then for each fold N lines "name <tab> i <tab> j" (pictures i and j of one person) and N
// lines "name <tab> i <tab> name2 <tab> j"; spaces serve where a line has no tab. "N" alone: one fold. Picture i of
// `name` is DIR/name/name_000i, with any ending that read_image can decode.
struct ListedPairs {
  Dataset data;           // each picture that the list names, once
  PairList pairs;         // rows of `data`
  std::vector<int> fold;  // of each pair
  int folds = 1;
};

// Throws InputError naming the file and the line: damaged, a number of lines other than the header's, a picture that is
// not in `folder`.
ListedPairs load_listed_pairs(const std::filesystem::path& list, const std::string& folder, const LoadOptions& options);

}  // namespace gemel
