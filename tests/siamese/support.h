// SPDX-License-Identifier: MIT
//
// What the tests of this room share: files to read, small data sets, and a look at error messages.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/error.h"
#include "engine/random.h"
#include "siamese/dataset.h"
#include "tests/engine/temporary_folder.h"

namespace gemel {

namespace fs = std::filesystem;

inline std::string path_of(const TemporaryFolder& folder) { return (folder / "x").parent_path().string(); }

// With the folders on the way to it.
inline void put_file(const fs::path& file, std::string_view content) {
  fs::create_directories(file.parent_path());
  write_file(file, content);
}

inline std::string pgm(int width, int height, const std::vector<std::uint8_t>& pixels) {
  return concat("P5\n", width, " ", height, "\n255\n") + std::string(pixels.begin(), pixels.end());
}

// `call` must throw an InputError of one line that says all of `parts`.
inline void expect_input_error(const std::function<void()>& call, const std::vector<std::string>& parts) {
  try {
    call();
  } catch (const InputError& error) {
    const std::string message = error.what();
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    for (const std::string& part : parts)
      EXPECT_NE(message.find(part), std::string::npos) << message << "\nlacks: " << part;
    return;
  }
  ADD_FAILURE() << "no InputError";
}

// `identities` x `images` pictures of height x width grey pixels: each identity a pattern of its own, each image that
// pattern under noise.
inline Dataset patterns(int identities, int images, int height, int width, std::uint64_t seed, float noise = 40) {
  Dataset data;
  data.source = "patterns";
  data.height = height;
  data.width = width;
  data.channels = 1;
  Random random(seed);
  for (int i = 0; i < identities; ++i) {
    data.identities.push_back("identity" + std::to_string(i));
    std::vector<float> pattern(data.image_bytes());
    for (float& x : pattern) x = random.uniform(40, 215);
    for (int j = 0; j < images; ++j) {
      data.labels.push_back(i);
      for (const float x : pattern) {
        data.pixels.push_back(static_cast<std::uint8_t>(std::min(255.0F, std::max(0.0F, x + noise * random.normal()))));
      }
    }
  }
  return data;
}

}  // namespace gemel
