// SPDX-License-Identifier: MIT
//
// Runs are read first, all pictures are embedded once, then every trial is decided.
#include "siamese/one_shot.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <set>

#include "engine/error.h"
#include "siamese/evaluate.h"
#include "siamese/text_lines.h"
#include "siamese/twin_encoder.h"

namespace gemel {
namespace {

namespace fs = std::filesystem;

struct Trial {
  std::int32_t test, training;  // rows of the pictures
};

struct Run {
  std::string name;
  std::vector<Trial> trials;
  std::vector<std::int32_t> choice;  // rows
};

class RunsReader {
 public:
  explicit RunsReader(const std::string& folder) : folder_(folder) { data.source = folder; }

  std::vector<Run> read() {
    std::error_code error;
    if (!fs::is_directory(folder_, error)) throw InputError(concat(folder_, ": no such folder"));
    std::vector<std::string> names;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder_, error)) {
      std::string name = entry.path().filename().string();
      if (name.starts_with("run") && fs::exists(entry.path() / "class_labels.txt", error))
        names.push_back(std::move(name));
    }
    if (names.empty()) {
      throw InputError(
          concat(folder_, ": has no run*/class_labels.txt; the layout is that of Omniglot's one-shot runs"));
    }
    std::sort(names.begin(), names.end());
    std::vector<Run> runs;
    for (const std::string& name : names) runs.push_back(read_run(name));
    return runs;
  }

  Dataset data;  // files alone

 private:
  Run read_run(const std::string& name) {
    const fs::path list = fs::path(folder_) / name / "class_labels.txt";
    Run run{name, {}, {}};
    std::set<std::int32_t> tests, trainings;
    const std::vector<std::vector<std::string>> lines = read_words(list);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (lines[i].empty()) continue;
      auto fail = [&](const std::string& what) { throw InputError(concat(list.string(), ":", i + 1, ": ", what)); };
      if (lines[i].size() != 2) fail("a trial is a test picture and the training picture of its class");
      for (const std::string& path : lines[i]) {
        if (leads_out(path)) fail(concat("'", path, "' is not a path below ", folder_));
      }
      const Trial trial{row(lines[i][0]), row(lines[i][1])};
      if (!tests.insert(trial.test).second) fail(concat("'", lines[i][0], "' is tested twice"));
      if (trainings.insert(trial.training).second) run.choice.push_back(trial.training);
      run.trials.push_back(trial);
    }
    if (run.choice.size() < 2) {
      throw InputError(concat(list.string(), ": names ", run.choice.size(), " training pictures; a choice takes two"));
    }
    for (const std::int32_t training : trainings) {
      if (tests.contains(training)) {
        throw InputError(concat(list.string(), ": '", data.files[static_cast<std::size_t>(training)],
                                "' is tested and to choose from at once"));
      }
    }
    return run;
  }

  static bool leads_out(const fs::path& path) {
    return path.is_absolute() || std::find(path.begin(), path.end(), "..") != path.end();
  }

  std::int32_t row(const std::string& path) {
    const auto [known, is_new] = rows_.try_emplace(path, static_cast<std::int32_t>(rows_.size()));
    if (is_new) data.files.push_back((fs::path(folder_) / path).string());
    return known->second;
  }

  std::string folder_;
  std::map<std::string, std::int32_t> rows_;
};

// Every test picture with every picture of the choice.
PairList all_against_all(const Run& run) {
  PairList pairs;
  for (const Trial& trial : run.trials) {
    for (const std::int32_t training : run.choice) {
      pairs.a.push_back(trial.test);
      pairs.b.push_back(training);
      pairs.same.push_back(training == trial.training ? 1 : 0);
    }
  }
  return pairs;
}

OneShotRun decide(const Run& run, const PairList& pairs, std::span<const float> distances) {
  OneShotRun result{run.name, static_cast<int>(run.choice.size()), static_cast<int>(run.trials.size()), 0};
  for (std::size_t first = 0; first < distances.size(); first += run.choice.size()) {
    float right = INFINITY, nearest_wrong = INFINITY;
    for (std::size_t i = first; i < first + run.choice.size(); ++i) {
      if (!std::isfinite(distances[i])) throw Error("one-shot: a distance is not finite; the model is not usable");
      float& side = pairs.same[i] != 0 ? right : nearest_wrong;
      side = std::min(side, distances[i]);
    }
    result.right += right < nearest_wrong ? 1 : 0;
  }
  return result;
}

}  // namespace

double student_t_975(int freedom) {
  const double f = freedom;
  const double scale = std::exp(std::lgamma((f + 1) / 2) - std::lgamma(f / 2)) / std::sqrt(f * std::numbers::pi);
  auto density = [&](double t) { return scale * std::pow(1 + t * t / f, -(f + 1) / 2); };
  // P(0 <= T <= t) by Simpson's rule after t = tan(u), which tames the tails of few degrees of freedom.
  auto mass = [&](double t) {
    constexpr int kSteps = 512;
    const double step = std::atan(t) / kSteps;
    double sum = 0;
    for (int i = 0; i <= kSteps; ++i) {
      const double x = std::tan(i * step);
      sum += (i == 0 || i == kSteps ? 1 : i % 2 == 1 ? 4 : 2) * density(x) * (1 + x * x);
    }
    return sum * step / 3;
  };
  double low = 0, high = 20;  // 12.7 for one degree of freedom
  for (int halving = 0; halving < 60; ++halving) {
    const double middle = (low + high) / 2;
    (mass(middle) < 0.475 ? low : high) = middle;
  }
  return (low + high) / 2;
}

OneShot one_shot(TwinEncoder& encoder, const std::string& folder, bool quiet) {
  RunsReader reader(folder);
  const std::vector<Run> runs = reader.read();
  const Preprocessing& p = encoder.preprocessing();
  load_pictures(reader.data, {.height = p.height, .width = p.width, .channels = p.channels, .quiet = quiet});
  const std::vector<float> embeddings = encoder.embed(reader.data.pixels, static_cast<int>(reader.data.files.size()));

  OneShot result;
  result.source = folder;
  for (const Run& run : runs) {
    const PairList pairs = all_against_all(run);
    result.runs.push_back(decide(run, pairs, pair_distances(encoder, embeddings, pairs)));
    result.trials += result.runs.back().trials;
    result.accuracy += result.runs.back().accuracy();
  }
  const auto n = static_cast<double>(runs.size());
  result.accuracy /= n;
  if (runs.size() < 2) return result;
  double squares = 0;
  for (const OneShotRun& run : result.runs) squares += std::pow(run.accuracy() - result.accuracy, 2);
  const double half = student_t_975(static_cast<int>(runs.size()) - 1) * std::sqrt(squares / (n - 1) / n);
  result.interval = Interval{std::max(0.0, result.accuracy - half), std::min(1.0, result.accuracy + half)};
  return result;
}

}  // namespace gemel
