// SPDX-License-Identifier: MIT
//
// The search of a gallery: one kernel that never writes the matrix of distances where it is Euclidean, else strips of
// that matrix, ranked on the host.
#include <algorithm>
#include <cmath>

#include "engine/error.h"
#include "kernels/simt/thread_pool.h"
#include "siamese/gallery.h"

namespace gemel {
namespace {

constexpr int kQueriesAtOnce = 1024;
constexpr std::size_t kStripFloats = std::size_t{1} << 24;  // 64 MiB of distances at a time
constexpr int kPicturesAPerson = 4;  // of the first search for people, who may have many pictures each

void grow(Buffer& buffer, Device& device, std::size_t bytes) {
  if (buffer.bytes() < bytes) buffer = Buffer(device, bytes);
}

// The k smallest of a row of distances, in order.
std::vector<Neighbour> smallest(std::span<const float> distances, int k) {
  std::vector<Neighbour> all(distances.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = {static_cast<int>(i), distances[i]};
  auto nearer = [](const Neighbour& a, const Neighbour& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.picture < b.picture;
  };
  std::partial_sort(all.begin(), all.begin() + k, all.end(), nearer);
  all.resize(static_cast<std::size_t>(k));
  return all;
}

}  // namespace

GallerySearch::GallerySearch(TwinEncoder& encoder, const Gallery& gallery)
    : encoder_(encoder), gallery_(gallery), rows_(encoder.device(), gallery.embeddings().size_bytes()) {
  const int d = encoder.network().embedding_size();
  if (gallery.embedding_size() != d) {
    throw ShapeError(concat("the gallery's embeddings have ", gallery.embedding_size(), " numbers, the model's ", d));
  }
  encoder.device().upload(encoder.stream(), rows_.data(), gallery.embeddings().data(), rows_.bytes());
}

std::vector<std::vector<Neighbour>> GallerySearch::pictures(std::span<const float> embeddings, int k) {
  const auto d = static_cast<std::size_t>(gallery_.embedding_size());
  if (embeddings.size() % d != 0) {
    throw ShapeError(concat("search: ", embeddings.size(), " numbers are not embeddings of ", d));
  }
  if (k < 1) throw Error(concat("search: asks for the ", k, " nearest pictures; at least 1"));
  if (!std::all_of(embeddings.begin(), embeddings.end(), [](float x) { return std::isfinite(x); })) {
    throw Error("search: an embedding is not finite; the model is not usable");
  }
  k = std::min(k, gallery_.size());
  const std::size_t n = embeddings.size() / d;
  std::vector<std::vector<Neighbour>> found;
  found.reserve(n);
  if (k == 0) {
    found.resize(n);
    return found;
  }
  const bool in_one_kernel = encoder_.metric().kind() == Metric::Kind::euclidean && k <= kMostNearest;
  const std::size_t strip =
      in_one_kernel
          ? kQueriesAtOnce
          : std::clamp<std::size_t>(kStripFloats / static_cast<std::size_t>(gallery_.size()), 1, kQueriesAtOnce);
  for (std::size_t first = 0; first < n; first += strip) {
    const auto part = embeddings.subspan(first * d, std::min(strip, n - first) * d);
    grow(queries_, encoder_.device(), part.size_bytes());
    encoder_.device().upload(encoder_.stream(), queries_.data(), part.data(), part.size_bytes());
    const int rows = static_cast<int>(part.size() / d);
    in_one_kernel ? by_kernel(rows, k, found) : by_matrix(rows, k, found);
  }
  return found;
}

void GallerySearch::by_kernel(int n, int k, std::vector<std::vector<Neighbour>>& found) {
  Device& device = encoder_.device();
  Stream& stream = encoder_.stream();
  const Kernels& kernels = device.kernels();
  const int d = gallery_.embedding_size(), m = gallery_.size();
  const std::size_t count = static_cast<std::size_t>(n) * static_cast<std::size_t>(k);
  grow(scratch_, device, kernels.nearest_scratch(n, m, d, k));
  grow(distances_, device, count * sizeof(float));
  grow(indices_, device, count * sizeof(std::int32_t));
  auto* index = static_cast<std::int32_t*>(indices_.data());
  kernels.nearest(device.queue(stream, {scratch_.data(), scratch_.bytes()}), n, m, d, k, queries_.f32(), rows_.f32(),
                  false, distances_.f32(), index);
  std::vector<float> distances(count);
  std::vector<std::int32_t> pictures(count);
  device.download(stream, distances.data(), distances_.f32(), count * sizeof(float));
  device.download(stream, pictures.data(), index, count * sizeof(std::int32_t));
  for (std::size_t i = 0; i < count; i += static_cast<std::size_t>(k)) {
    std::vector<Neighbour>& list = found.emplace_back();
    for (std::size_t j = i; j < i + static_cast<std::size_t>(k); ++j) list.push_back({pictures[j], distances[j]});
  }
}

void GallerySearch::by_matrix(int n, int k, std::vector<std::vector<Neighbour>>& found) {
  Device& device = encoder_.device();
  Stream& stream = encoder_.stream();
  const int d = gallery_.embedding_size(), m = gallery_.size();
  const std::size_t row = static_cast<std::size_t>(m), count = static_cast<std::size_t>(n) * row;
  grow(distances_, device, count * sizeof(float));
  encoder_.metric().pairwise(device.kernels(), device.queue(stream), n, m, d, queries_.f32(), rows_.f32(),
                             distances_.f32());
  std::vector<float> distances(count);
  device.download(stream, distances.data(), distances_.f32(), count * sizeof(float));
  const std::size_t before = found.size();
  found.resize(before + static_cast<std::size_t>(n));
  ThreadPool::instance().run(n, [&](int i, int) {
    const auto query = static_cast<std::size_t>(i);
    found[before + query] = smallest(std::span(distances).subspan(query * row, row), k);
  });
}

std::vector<std::vector<Neighbour>> GallerySearch::people(std::span<const float> embeddings, int k) {
  const auto d = static_cast<std::size_t>(gallery_.embedding_size());
  const int wanted = std::min(k, static_cast<int>(gallery_.people().size()));
  std::vector<std::vector<Neighbour>> found(embeddings.size() / d);
  std::vector<std::size_t> open(found.size());  // queries whose pictures so far are of too few people
  for (std::size_t i = 0; i < open.size(); ++i) open[i] = i;
  std::vector<float> rows(embeddings.begin(), embeddings.end());
  // Of one person the nearest picture is enough; of more, the pictures of the nearest may hide the next: look further.
  for (std::int64_t reach = k == 1 ? 1 : std::int64_t{kPicturesAPerson} * k; !open.empty(); reach *= 4) {
    const int pictures_reached = static_cast<int>(std::min<std::int64_t>(reach, std::max(gallery_.size(), 1)));
    const auto lists = pictures(rows, pictures_reached);
    std::vector<std::size_t> still_open;
    for (std::size_t i = 0; i < open.size(); ++i) {
      std::vector<Neighbour>& people = found[open[i]];
      people.clear();
      for (const Neighbour& neighbour : lists[i]) {
        const int person = gallery_.person_of(neighbour.picture);
        const bool seen = std::any_of(people.begin(), people.end(), [&](const Neighbour& other) {
          return gallery_.person_of(other.picture) == person;
        });
        if (!seen) people.push_back(neighbour);
        if (static_cast<int>(people.size()) == wanted) break;
      }
      if (static_cast<int>(people.size()) < wanted) still_open.push_back(open[i]);
    }
    open = std::move(still_open);
    rows.clear();
    for (const std::size_t query : open) {
      const auto row = embeddings.subspan(query * d, d);
      rows.insert(rows.end(), row.begin(), row.end());
    }
  }
  return found;
}

}  // namespace gemel
