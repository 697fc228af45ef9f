// SPDX-License-Identifier: MIT
#pragma once
#include <span>
#include <vector>
#include "siamese/dataset.h"
#include "siamese/faces/face.h"
#include "engine/device.h"
namespace gemel {
class ChipCutter { public: explicit ChipCutter(Device& device); std::vector<Image> cut(const Image& rgb, std::span<const Landmarks> faces, int size); };
}
