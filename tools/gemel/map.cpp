// SPDX-License-Identifier: MIT
//
// Which images are drawn, where, and how.
#include "tools/gemel/map.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <sstream>

#include "siamese/embedding_map.h"
#include "tools/gemel/command.h"
#include "tools/gemel/plot.h"
#include "tools/gemel/png.h"

namespace gemel::cli {
namespace {

constexpr std::size_t kMostIdentities = 40, kMostImages = 600, kMostThumbnails = 120;
constexpr double kMapWidth = 1120, kMapHeight = 700, kMargin = 34;
constexpr double kThumbnail = 40;  // the longer side, in the units of the drawing
constexpr int kThumbnailPixels = 64;
constexpr double kDot = 4.5;

// An image on the map.
struct Spot {
  MapPoint at;
  int row;
  std::int32_t identity;
  std::size_t turn;  // the how manieth of its identity
};

// `count` of `items`, evenly.
std::vector<int> thinned(const std::vector<int>& items, std::size_t count) {
  if (items.size() <= count) return items;
  std::vector<int> kept;
  for (std::size_t i = 0; i < count; ++i) kept.push_back(items[i * items.size() / count]);
  return kept;
}

// Rows of the identities that are drawn, identity by identity.
std::vector<int> chosen_rows(const Dataset& data) {
  std::vector<std::vector<int>> rows_of(data.identities.size());
  for (int row = 0; row < data.size(); ++row) {
    rows_of[static_cast<std::size_t>(data.labels[static_cast<std::size_t>(row)])].push_back(row);
  }
  // Identities with one image show nothing about being near each other: last.
  std::vector<int> identities;
  for (std::size_t i = 0; i < rows_of.size(); ++i) {
    if (rows_of[i].size() > 1) identities.push_back(static_cast<int>(i));
  }
  for (std::size_t i = 0; i < rows_of.size() && identities.size() < kMostIdentities; ++i) {
    if (rows_of[i].size() == 1) identities.push_back(static_cast<int>(i));
  }
  identities = thinned(identities, kMostIdentities);
  std::vector<int> chosen;
  for (int identity : identities) {
    const std::vector<int> rows = thinned(rows_of[static_cast<std::size_t>(identity)], kMostImages / identities.size());
    chosen.insert(chosen.end(), rows.begin(), rows.end());
  }
  return chosen;
}

// Neighbours in the list are far apart on the colour circle.
std::string color_of(std::size_t identity) {
  const double hue = std::fmod(210 + 137.508 * static_cast<double>(identity), 360);
  constexpr const char* kLightness[] = {"42%", "56%", "33%"};
  return concat("hsl(", static_cast<int>(hue), ",72%,", kLightness[identity / 8 % 3], ")");
}

std::string thumbnail(const Dataset& data, int row) {
  const double scale = std::min(1.0, kThumbnailPixels / static_cast<double>(std::max(data.height, data.width)));
  auto shrunk = [&](int side) { return std::max(1, static_cast<int>(std::lround(side * scale))); };
  const auto pixels = data.image(row);
  const Image small = resize({data.height, data.width, data.channels, {pixels.begin(), pixels.end()}},
                             shrunk(data.height), shrunk(data.width));
  return png_uri(small.pixels, small.height, small.width, small.channels);
}

// The points, stretched to fill the drawing.
std::vector<MapPoint> fitted(std::vector<MapPoint> points) {
  auto fit = [&](double MapPoint::*axis, double size) {
    auto [low, high] = std::minmax_element(points.begin(), points.end(),
                                           [&](const MapPoint& a, const MapPoint& b) { return a.*axis < b.*axis; });
    const double begin = (*low).*axis, length = (*high).*axis - begin;
    for (MapPoint& point : points) {
      point.*axis = kMargin + (length > 0 ? (point.*axis - begin) / length : 0.5) * (size - 2 * kMargin);
    }
  };
  fit(&MapPoint::x, kMapWidth);
  fit(&MapPoint::y, kMapHeight);
  return points;
}

// Spots that cover each other move apart, so that groups open until all of their images can be seen.
void push_apart(std::vector<Spot>& spots) {
  constexpr int kRounds = 80;
  auto radius = [](std::size_t i) { return i < kMostThumbnails ? kThumbnail / 2 + 4 : kDot + 1; };
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < spots.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        double x = spots[i].at.x - spots[j].at.x, y = spots[i].at.y - spots[j].at.y;
        const double distance = std::hypot(x, y), wanted = radius(i) + radius(j);
        if (distance >= wanted) continue;
        if (distance > 0) {
          x /= distance;
          y /= distance;
        } else {  // at one place: each pair in a direction of its own
          x = std::cos(static_cast<double>(i + j));
          y = std::sin(static_cast<double>(i + j));
        }
        const double half = (wanted - distance) / 4;  // half of half: gently
        spots[i].at.x += half * x;
        spots[i].at.y += half * y;
        spots[j].at.x -= half * x;
        spots[j].at.y -= half * y;
      }
    }
    for (Spot& spot : spots) {
      spot.at.x = std::clamp(spot.at.x, kMargin, kMapWidth - kMargin);
      spot.at.y = std::clamp(spot.at.y, kMargin, kMapHeight - kMargin);
    }
  }
}

std::string tenths(double value) { return fixed(value, 1); }

}  // namespace

EmbeddingMap embedding_map(const Dataset& data, std::span<const float> embeddings) {
  const std::vector<int> rows = chosen_rows(data);
  const std::size_t d = embeddings.size() / static_cast<std::size_t>(data.size());
  std::vector<float> chosen;
  for (int row : rows) {
    const auto from = embeddings.subspan(static_cast<std::size_t>(row) * d, d);
    chosen.insert(chosen.end(), from.begin(), from.end());
  }
  std::vector<Spot> spots;
  std::size_t of_identity = 0;
  const std::vector<MapPoint> places =
      fitted(neighbour_map(chosen, static_cast<int>(rows.size()), static_cast<int>(d)));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::int32_t identity = data.labels[static_cast<std::size_t>(rows[i])];
    of_identity = i > 0 && identity == spots.back().identity ? of_identity + 1 : 0;
    spots.push_back({places[i], rows[i], identity, of_identity});
  }
  // Thumbnails go to the identities in turns, so that each gets its share.
  std::stable_sort(spots.begin(), spots.end(), [](const Spot& a, const Spot& b) { return a.turn < b.turn; });
  push_apart(spots);

  const double longer = std::max(data.height, data.width);
  const double width = kThumbnail * data.width / longer, height = kThumbnail * data.height / longer;
  std::ostringstream svg;
  for (std::size_t i = 0; i < spots.size(); ++i) {
    const Spot& spot = spots[i];
    const auto identity = static_cast<std::size_t>(spot.identity);
    const std::string color = color_of(identity);
    svg << "<g><title>" << escape_html(data.identities[identity]) << " #" << spot.row << "</title>";
    if (i < kMostThumbnails) {
      const std::string box = "x=\"" + tenths(spot.at.x - width / 2) + "\" y=\"" + tenths(spot.at.y - height / 2) +
                              "\" width=\"" + tenths(width) + "\" height=\"" + tenths(height) + "\"";
      svg << "<image " << box << " href=\"" << thumbnail(data, spot.row) << "\"/><rect " << box
          << " fill=\"none\" stroke=\"" << color << "\" stroke-width=\"3\" rx=\"2\"/>";
    } else {
      svg << "<circle cx=\"" << tenths(spot.at.x) << "\" cy=\"" << tenths(spot.at.y) << "\" r=\"" << tenths(kDot)
          << "\" fill=\"" << color << "\"/>";
    }
    svg << "</g>\n";
  }
  std::vector<std::int32_t> drawn;
  for (const Spot& spot : spots) drawn.push_back(spot.identity);
  std::sort(drawn.begin(), drawn.end());
  drawn.erase(std::unique(drawn.begin(), drawn.end()), drawn.end());
  return {"<svg class=\"map\" viewBox=\"0 0 " + tenths(kMapWidth) + " " + tenths(kMapHeight) + "\" role=\"img\">\n" +
              svg.str() + "</svg>\n",
          concat(thousands(static_cast<long long>(rows.size())), " images of ",
                 thousands(static_cast<long long>(drawn.size())),
                 " identities, each identity a colour. t-SNE: what is near each other here has embeddings near each "
                 "other; the gaps between groups are not to scale.")};
}

}  // namespace gemel::cli
