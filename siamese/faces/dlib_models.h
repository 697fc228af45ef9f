// SPDX-License-Identifier: MIT
//
// The three models that dlib's author published (https://github.com/davisking/dlib-models), from dlib's files: one finds
// faces, one their landmarks, one embeds a chip of 150x150 pixels. Every reader throws InputError of one line, "FILE: is
// cut short at byte N" or "FILE: byte N: what is wrong"; nothing else, whatever the file holds.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "siamese/dataset.h"
#include "siamese/faces/dlib_archive.h"
#include "siamese/faces/face_model.h"
#include "siamese/model.h"

namespace gemel {

// loss_mmod_ on a fully convolutional network with one detector window (dlib/dnn/loss.h; King 2015).
DetectorModel read_dlib_detector(DlibArchive& archive);

// shape_predictor (dlib/image_processing/shape_predictor.h; Kazemi, Sullivan 2014) of five landmarks.
LandmarkModel read_dlib_landmarks(DlibArchive& archive);

// What an ordinary Model is made of.
struct EmbeddingModel {
  std::string network;  // text
  Preprocessing preprocessing;
  std::map<std::string, TensorFile::Tensor> parameters;  // by the network's names
};

// loss_metric_ on a network that ends in a row of numbers.
EmbeddingModel read_dlib_embedding(DlibArchive& archive);

struct DlibFiles {
  std::filesystem::path detector, landmarks, embedding;
};

// All three as one model, with the threshold (0.6) and the accuracy that their author gives (dlib's
// dnn_face_recognition_ex.cpp).
Model import_dlib_models(const DlibFiles& files, Device& device);

}  // namespace gemel
