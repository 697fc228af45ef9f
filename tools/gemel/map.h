// SPDX-License-Identifier: MIT
//
// The map of a data set's embeddings, for the report: pictures where their neighbours are.
#pragma once

#include <span>
#include <string>

#include "siamese/dataset.h"

namespace gemel::cli {

struct EmbeddingMap {
  std::string svg, caption;
};

// Of embeddings (N,D), the rows of `data`: at most some hundred images, of at most some dozen identities, both evenly
// chosen; some as thumbnails, the others as dots, in the colour of the identity.
EmbeddingMap embedding_map(const Dataset& data, std::span<const float> embeddings);

}  // namespace gemel::cli
