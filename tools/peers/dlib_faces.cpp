// SPDX-License-Identifier: MIT
//
// dlib's own way from photographs to descriptors, with its published models: detector, five landmarks, chip of 150x150
// (padding 0.25), descriptor; as JSON with the seconds of each stage. Boxes are left, top, right, bottom.
//   dlib_faces MODELS [--chips DIR] [--aligned] [--bench SECONDS] PICTURE...
//     MODELS     the folder that has the three .dat files; tools/get_face_model.sh says which
//     --chips    also writes each chip as DIR/NAME_NUMBER.png
//     --aligned  the pictures are chips: only their descriptors
//     --bench    also the seconds of each stage: faces found in the first picture that shows one, landmarks and chip of
//                a face, a descriptor of that chip in batches of 1 and 64
//   g++ -std=c++20 -O3 -march=native -I. tools/peers/dlib_faces.cpp -ldlib -lopenblas -llapack
//   Debian: libdlib-dev libopenblas-dev
#include <dlib/dnn.h>
#include <dlib/image_io.h>
#include <dlib/image_processing.h>
#include <dlib/revision.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "peer.h"

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Picture = dlib::matrix<dlib::rgb_pixel>;
using Descriptor = dlib::matrix<float, 0, 1>;

// ---- the networks, as the types that their files were written from
template <int k, class Below>
using con5_half = dlib::relu<dlib::affine<dlib::con<k, 5, 5, 2, 2, Below>>>;
template <int k, class Below>
using con5 = dlib::relu<dlib::affine<dlib::con<k, 5, 5, 1, 1, Below>>>;
using Pyramid = dlib::input_rgb_image_pyramid<dlib::pyramid_down<6>>;
using Detector = dlib::loss_mmod<
    dlib::con<1, 9, 9, 1, 1, con5<45, con5<45, con5<45, con5_half<32, con5_half<32, con5_half<16, Pyramid>>>>>>>>;

template <int k, int stride, class Below>
using two = dlib::affine<dlib::con<k, 3, 3, 1, 1, dlib::relu<dlib::affine<dlib::con<k, 3, 3, stride, stride, Below>>>>>;
template <int k, class Below>
using plain = dlib::relu<dlib::add_prev1<two<k, 1, dlib::tag1<Below>>>>;
template <int k, class Below>
using down =
    dlib::relu<dlib::add_prev2<dlib::avg_pool<2, 2, 2, 2, dlib::skip1<dlib::tag2<two<k, 2, dlib::tag1<Below>>>>>>>;
template <class Below>
using first = dlib::max_pool<3, 3, 2, 2, dlib::relu<dlib::affine<dlib::con<32, 7, 7, 2, 2, Below>>>>;
template <class Below>
using of_32 = plain<32, plain<32, plain<32, Below>>>;
template <class Below>
using of_64 = plain<64, plain<64, plain<64, down<64, Below>>>>;
template <class Below>
using of_128 = plain<128, plain<128, down<128, Below>>>;
template <class Below>
using of_256 = down<256, plain<256, plain<256, down<256, Below>>>>;
using Embedding = dlib::loss_metric<dlib::fc_no_bias<
    128, dlib::avg_pool_everything<of_256<of_128<of_64<of_32<first<dlib::input_rgb_image_sized<150>>>>>>>>>;

struct Arguments {
  fs::path models, chips;
  bool aligned = false;
  double bench = 0;
  std::vector<std::string> pictures;
};

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--chips" && i + 1 < argc) {
      arguments.chips = argv[++i];
    } else if (word == "--aligned") {
      arguments.aligned = true;
    } else if (word == "--bench" && i + 1 < argc) {
      arguments.bench = std::atof(argv[++i]);
    } else if (arguments.models.empty()) {
      arguments.models = word;
    } else {
      arguments.pictures.push_back(word);
    }
  }
  if (arguments.pictures.empty()) {
    throw std::runtime_error("usage: dlib_faces MODELS [--chips DIR] [--aligned] [--bench SECONDS] PICTURE...");
  }
  return arguments;
}

template <class F>
double seconds_of(const F& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// As many digits as the float has.
Json numbers(const Descriptor& descriptor) {
  Json list = Json::array();
  for (const float value : descriptor) list.push_back(value);
  return list;
}

class Pipeline {
 public:
  explicit Pipeline(const Arguments& arguments) : arguments_(arguments) {
    dlib::deserialize((arguments.models / "dlib_face_recognition_resnet_model_v1.dat").string()) >> embedding_;
    if (arguments.aligned) return;
    dlib::deserialize((arguments.models / "mmod_human_face_detector.dat").string()) >> detector_;
    dlib::deserialize((arguments.models / "shape_predictor_5_face_landmarks.dat").string()) >> landmarks_;
  }

  Json aligned(const std::string& file) {
    Picture chip;
    dlib::load_image(chip, file);
    Json result{{"file", file}};
    Descriptor descriptor;
    result["seconds"]["embed"] = seconds_of([&] { descriptor = embedding_(chip); });
    result["descriptor"] = numbers(descriptor);
    chips_.push_back(std::move(chip));
    return result;
  }

  Json photograph(const std::string& file) {
    Picture picture;
    Json seconds;
    seconds["decode"] = seconds_of([&] { dlib::load_image(picture, file); });
    std::vector<dlib::mmod_rect> found;
    seconds["detect"] = seconds_of([&] { found = detector_(picture); });
    std::vector<dlib::full_object_detection> shapes;
    seconds["landmarks"] = seconds_of([&] {
      for (const dlib::mmod_rect& face : found) shapes.push_back(landmarks_(picture, face.rect));
    });
    std::vector<Picture> chips(found.size());
    seconds["chips"] = seconds_of([&] {
      for (std::size_t i = 0; i < chips.size(); ++i) {
        dlib::extract_image_chip(picture, dlib::get_face_chip_details(shapes[i], 150, 0.25), chips[i]);
      }
    });
    std::vector<Descriptor> descriptors;
    seconds["embed"] = seconds_of([&] {
      if (!chips.empty()) descriptors = embedding_(chips);
    });
    Json result{{"file", file}, {"size", {picture.nc(), picture.nr()}}, {"seconds", seconds}, {"faces", Json::array()}};
    for (std::size_t i = 0; i < found.size(); ++i) {
      const dlib::rectangle& box = found[i].rect;
      Json points = Json::array();
      for (unsigned long p = 0; p < shapes[i].num_parts(); ++p) {
        points.push_back({shapes[i].part(p).x(), shapes[i].part(p).y()});
      }
      result["faces"].push_back({{"box", {box.left(), box.top(), box.right(), box.bottom()}},
                                 {"score", found[i].detection_confidence},
                                 {"landmarks", points},
                                 {"descriptor", numbers(descriptors[i])}});
      if (arguments_.chips.empty()) continue;
      const std::string name = fs::path(file).stem().string() + "_" + std::to_string(i) + ".png";
      dlib::save_png(chips[i], (arguments_.chips / name).string());
    }
    if (chips_.empty() && !chips.empty()) picture_ = picture;
    chips_.insert(chips_.end(), chips.begin(), chips.end());
    return result;
  }

  Json bench() {
    if (chips_.empty()) throw std::runtime_error("--bench needs a face");
    Json results = Json::array();
    const auto add = [&](const std::string& name, const std::function<void()>& call) {
      results.push_back({{"name", name}, {"seconds", peer::seconds_per_call(arguments_.bench, call)}});
    };
    if (!picture_.size()) throw std::runtime_error("--bench needs photographs, not chips");
    const dlib::rectangle face = detector_(picture_).front().rect;
    Picture chip;
    add("detect", [&] { detector_(picture_); });
    add("landmarks_and_chip", [&] {
      dlib::extract_image_chip(picture_, dlib::get_face_chip_details(landmarks_(picture_, face), 150, 0.25), chip);
    });
    for (const std::size_t batch : {1, 64}) {
      const std::vector<Picture> chips(batch, chips_.front());
      add("embed/" + std::to_string(batch), [&] { embedding_(chips, batch); });
    }
    return results;
  }

 private:
  const Arguments& arguments_;
  Detector detector_;
  dlib::shape_predictor landmarks_;
  Embedding embedding_;
  Picture picture_;  // the first that shows a face
  std::vector<Picture> chips_;
};

int run(const Arguments& arguments) {
  if (!arguments.chips.empty()) fs::create_directories(arguments.chips);
  Pipeline pipeline(arguments);
  Json all{{"version", "dlib " + std::to_string(DLIB_MAJOR_VERSION) + "." + std::to_string(DLIB_MINOR_VERSION)},
           {"pictures", Json::array()}};
  for (const std::string& file : arguments.pictures) {
    all["pictures"].push_back(arguments.aligned ? pipeline.aligned(file) : pipeline.photograph(file));
  }
  if (arguments.bench > 0) all["results"] = pipeline.bench();
  std::cout << all.dump(1, ' ', false, Json::error_handler_t::replace) << "\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(parse(argc, argv));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "dlib_faces: %s\n", error.what());
    return 2;
  }
}
