// SPDX-License-Identifier: MIT
//
// Presets of augmentation, and the flags that change them.
#include "tools/gemel/augmentation.h"

#include <map>
#include <sstream>
#include <tuple>

namespace gemel::cli {
namespace {

const std::map<std::string, Augmentation> kAugmentations{
    {"none", {}},
    // Koch, Zemel, Salakhutdinov 2015, sec. 3.4: each of seven numbers is used with probability 0.5.
    {"koch",
     {.rotate = 10,
      .shear = 0.3F,
      .scale_low = 0.8F,
      .scale_high = 1.2F,
      .one_scale = false,
      .shift = 2,
      .probability = 0.5F}},
    // Aligned or roughly cut faces: mirrored, a little turned, nearer or farther, in other light.
    {"face",
     {.rotate = 10,
      .scale_low = 0.9F,
      .scale_high = 1.1F,
      .shift = 3,
      .flip = 0.5F,
      .brightness = 0.1F,
      .contrast = 0.2F}},
    // Pictures that may be mirrored but not turned.
    {"light",
     {.scale_low = 0.9F, .scale_high = 1.1F, .shift = 2, .flip = 0.5F, .brightness = 0.05F, .contrast = 0.1F}}};

std::pair<float, float> parse_range(const std::string& text) {
  std::istringstream stream(text);
  float low = 0, high = 0;
  char colon = 0;
  if (!(stream >> low >> colon >> high) || colon != ':' || !stream.eof()) {
    throw InputError(concat("train: --scale '", text, "' is not LOW:HIGH, such as 0.8:1.2"));
  }
  return {low, high};
}

}  // namespace

void AugmentationFlags::add_to(CLI::App& command) {
  const std::string group = "Augmentation of the training pictures";
  std::vector<std::string> names;
  for (const auto& [name, values] : kAugmentations) names.push_back(name);
  command.add_option("--augment", preset, "none, light, face, or koch (characters: Koch et al. 2015)")
      ->check(CLI::IsMember(names))
      ->capture_default_str()
      ->group(group);
  auto add = [&](const char* name, std::optional<float>& value, double high, const char* what) {
    command.add_option(name, value, what)->check(CLI::Range(0.0, high))->group(group);
  };
  add("--rotate", rotate, 180, "degrees to either side");
  add("--shear", shear, 0.99, "along either axis");
  command.add_option("--scale", scale, "factors, e.g. 0.8:1.2")->type_name("LOW:HIGH")->group(group);
  add("--shift", shift, 4096, "pixels to either side");
  add("--augment-probability", probability, 1, "of each turn, shear, scale and shift");
  add("--flip", flip, 1, "probability of mirroring left and right");
  add("--brightness", brightness, 1, "added, to either side; 1 is the whole range");
  add("--contrast", contrast, 1, "factor 1 +- this");
  add("--noise", noise, 1, "deviation of normal noise; 1 is the whole range");
}

Augmentation AugmentationFlags::resolve() const {
  Augmentation a = kAugmentations.at(preset);
  a.rotate = rotate.value_or(a.rotate);
  a.shear = shear.value_or(a.shear);
  if (!scale.empty()) std::tie(a.scale_low, a.scale_high) = parse_range(scale);
  a.shift = shift.value_or(a.shift);
  a.probability = probability.value_or(a.probability);
  a.flip = flip.value_or(a.flip);
  a.brightness = brightness.value_or(a.brightness);
  a.contrast = contrast.value_or(a.contrast);
  a.noise = noise.value_or(a.noise);
  return a;
}

std::string AugmentationFlags::describe() const {
  const Augmentation a = resolve();
  if (!a.any()) return "";
  std::string text = "augmented by";
  auto add = [&](const char* name, float value, float nothing) {
    if (value != nothing) text += concat(" ", name, " ", value);
  };
  add("rotate", a.rotate, 0);
  add("shear", a.shear, 0);
  if (a.scale_low != 1 || a.scale_high != 1) text += concat(" scale ", a.scale_low, ":", a.scale_high);
  add("shift", a.shift, 0);
  add("probability", a.probability, 1);
  add("flip", a.flip, 0);
  add("brightness", a.brightness, 0);
  add("contrast", a.contrast, 0);
  add("noise", a.noise, 0);
  return text;
}

}  // namespace gemel::cli
