// SPDX-License-Identifier: MIT
//
// Filled rectangles, and nothing else: lines, dots, and the strokes of letters.
#include "siamese/faces/annotate.h"

#include <algorithm>
#include <array>
#include <cmath>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_easy_font.h>
#pragma GCC diagnostic pop

namespace gemel {
namespace {

using Colour = std::array<std::uint8_t, 3>;
constexpr Colour kLine{80, 230, 90}, kShade{20, 20, 20}, kDot{255, 70, 70}, kText{255, 255, 255};

class Canvas {
 public:
  explicit Canvas(Image& image) : image_(image) {}

  void fill(double left, double top, double right, double bottom, const Colour& colour) {
    const int x0 = inside(left, image_.width), x1 = inside(right, image_.width);
    const int y0 = inside(top, image_.height), y1 = inside(bottom, image_.height);
    for (int y = y0; y < y1; ++y) {
      for (int x = x0; x < x1; ++x) {
        std::copy(colour.begin(), colour.end(), &image_.pixels[(static_cast<std::size_t>(y) * image_.width + x) * 3]);
      }
    }
  }

  // Four bars of `width`, outside of the box.
  void frame(const Box& b, double width, const Colour& colour) {
    fill(b.left - width, b.top - width, b.right + 1 + width, b.top, colour);
    fill(b.left - width, b.bottom + 1, b.right + 1 + width, b.bottom + 1 + width, colour);
    fill(b.left - width, b.top, b.left, b.bottom + 1, colour);
    fill(b.right + 1, b.top, b.right + 1 + width, b.bottom + 1, colour);
  }

 private:
  static int inside(double v, int limit) { return static_cast<int>(std::lround(std::clamp(v, 0.0, double(limit)))); }
  Image& image_;
};

// One '?' for each character beyond ASCII.
std::string ascii(const std::string& text) {
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 32 && byte < 127) {
      result += c;
    } else if ((byte & 0xC0) != 0x80) {  // no continuation of a UTF-8 character
      result += '?';
    }
  }
  return result;
}

// The strokes of a text as rectangles, in units of the font, whose lines are 12 high.
std::vector<Box> strokes(const std::string& text) {
  struct Vertex {
    float x, y, z;
    unsigned char colour[4];
  };
  std::vector<Vertex> vertices(text.size() * 64 + 64);
  std::string copy = text;
  const int quads = stb_easy_font_print(0, 0, copy.data(), nullptr, vertices.data(),
                                        static_cast<int>(vertices.size() * sizeof(Vertex)));
  std::vector<Box> boxes;
  for (int i = 0; i < quads; ++i) {
    const Vertex *first = &vertices[static_cast<std::size_t>(i) * 4], *third = first + 2;
    boxes.push_back({first->x, first->y, third->x, third->y});
  }
  return boxes;
}

void write(Canvas& canvas, const Image& image, const Annotation& face, double line, double letter) {
  const std::string text = ascii(face.text);
  if (text.empty()) return;
  std::string measured = text;
  const double unit = letter / 12, pad = 2 * unit;
  const double width = stb_easy_font_width(measured.data()) * unit + 2 * pad, height = letter + pad;
  double top = face.box.bottom + 1 + 2 * line;
  if (top + height > image.height) top = face.box.top - 2 * line - height;
  top = std::clamp(top, 0.0, std::max(0.0, image.height - height));
  const double left = std::clamp(face.box.left - line, 0.0, std::max(0.0, image.width - width));
  canvas.fill(left, top, left + width, top + height, kShade);
  for (const Box& stroke : strokes(text)) {
    canvas.fill(left + pad + stroke.left * unit, top + pad + stroke.top * unit, left + pad + stroke.right * unit,
                top + pad + stroke.bottom * unit, kText);
  }
}

}  // namespace

Image annotate(const Image& rgb, std::span<const Annotation> faces) {
  Image image = rgb;
  Canvas canvas(image);
  const double side = std::min(rgb.width, rgb.height);
  const double line = std::max(1.0, std::round(side / 300)), letter = 12 * std::max(1.0, std::round(side / 400));
  for (const Annotation& face : faces) {
    canvas.frame(face.box, 2 * line, kShade);  // readable on light ground as well
    canvas.frame(face.box, line, kLine);
    for (const Point& p : face.landmarks) {
      canvas.fill(p.x - 1.5 * line, p.y - 1.5 * line, p.x + 1.5 * line + 1, p.y + 1.5 * line + 1, kShade);
      canvas.fill(p.x - line, p.y - line, p.x + line + 1, p.y + line + 1, kDot);
    }
  }
  for (const Annotation& face : faces) write(canvas, image, face, line, letter);
  return image;
}

}  // namespace gemel
