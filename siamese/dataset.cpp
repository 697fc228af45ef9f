// SPDX-License-Identifier: MIT
//
// Data sets: folders of pictures, and the cuts of a data set. IDX files are read in idx.cpp.
#include "siamese/dataset.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <map>
#include <mutex>
#include <new>
#include <nlohmann/json.hpp>
#include <numeric>

#include "engine/error.h"
#include "engine/random.h"
#include "kernels/simt/thread_pool.h"
#include "siamese/idx.h"
#include "siamese/image.h"

namespace gemel {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxSide = 16384;

// ---- folders
bool is_hidden(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.empty() || name[0] == '.' || name == "__MACOSX";
}

// Adds `directory` and, below it, every folder that holds pictures. `above` are the folders on the way here, resolved:
// folders may be links, but not to one they lie in.
void collect(const fs::path& directory, const std::string& name, std::vector<fs::path>& above,
             std::vector<PictureFolder>& identities) {
  std::error_code error;
  const fs::path resolved = fs::canonical(directory, error);
  if (std::find(above.begin(), above.end(), resolved) != above.end()) {
    throw InputError(concat(directory.string(), ": is a link to a folder that it lies in; remove the link"));
  }
  std::vector<fs::path> files, folders;
  fs::directory_iterator entries(directory, error);
  if (error) throw InputError(concat(directory.string(), ": cannot be read: ", error.message()));
  for (const fs::directory_entry& entry : entries) {
    if (is_hidden(entry.path())) continue;
    if (entry.is_directory(error)) {
      folders.push_back(entry.path());
    } else if (has_image_ending(entry.path())) {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  std::sort(folders.begin(), folders.end());
  if (!files.empty()) identities.push_back({name, std::move(files)});
  above.push_back(resolved);
  for (const fs::path& folder : folders) {
    const std::string leaf = folder.filename().string();
    collect(folder, name.empty() ? leaf : name + "/" + leaf, above, identities);
  }
  above.pop_back();
}

// Calls work(i) for each file on all threads, with a progress line where wanted. Of the files that failed, the first in
// order is reported, whatever thread met it.
template <class Work>
void for_each_file(const std::vector<std::string>& files, const char* verb, bool quiet, Work work) {
  std::mutex mutex;
  std::map<int, std::string> errors;
  std::atomic<int> done{0};
  const int count = static_cast<int>(files.size());
  const bool show = !quiet && isatty(STDERR_FILENO) != 0;
  ThreadPool::instance().run(count, [&](int i, int worker) {
    try {
      work(i);
    } catch (const InputError& error) {
      const std::lock_guard lock(mutex);
      errors.emplace(i, error.what());
    }
    const int finished = done.fetch_add(1, std::memory_order_relaxed) + 1;
    if (show && worker == 0) std::fprintf(stderr, "\r%s %d of %d pictures", verb, finished, count);
  });
  if (show) std::fprintf(stderr, "\r%*s\r", 60, "");
  if (errors.empty()) return;
  const std::string more = errors.size() == 1 ? "" : concat(" (and ", errors.size() - 1, " more that cannot be read)");
  throw InputError(errors.begin()->second + more);
}

Dataset load_folder(const std::string& source, const LoadOptions& options) {
  std::vector<PictureFolder> identities = find_pictures(source);
  std::erase_if(identities, [](const PictureFolder& folder) { return folder.name.empty(); });
  if (identities.size() < 2) {
    throw InputError(concat(source, identities.empty() ? ": no sub-folder holds pictures" : ": holds a single identity",
                            "; put the pictures of each identity into a sub-folder of its own, for at least two"));
  }

  Dataset data;
  data.source = source;
  for (const PictureFolder& identity : identities) {
    const std::size_t all = identity.files.size();
    const std::size_t count = options.limit == 0 ? all : std::min(all, static_cast<std::size_t>(options.limit));
    for (std::size_t i = 0; i < count; ++i) data.files.push_back(identity.files[i].string());
    data.labels.insert(data.labels.end(), count, static_cast<std::int32_t>(data.identities.size()));
    data.identities.push_back(identity.name);
  }
  load_pictures(data, options);
  return data;
}

void check_options(const std::string& source, const LoadOptions& options) {
  auto fail = [&](const std::string& what) { throw InputError(concat(source, ": ", what)); };
  if ((options.height == 0) != (options.width == 0)) fail("give both height and width, or neither");
  if (options.height < 0 || options.width < 0 || options.height > kMaxSide || options.width > kMaxSide) {
    fail(concat("pictures cannot be resized to ", options.height, "x", options.width));
  }
  if (options.channels != 0 && options.channels != 1 && options.channels != 3) {
    fail(concat("channels are 1 or 3, not ", options.channels));
  }
  if (options.limit < 0) fail("the limit of images per identity is negative");
}

// ---- cuts
std::vector<int> shuffled(int count, Random& random) {
  std::vector<int> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  for (int i = count - 1; i > 0; --i) {
    std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(random.below(i + 1))]);
  }
  return order;
}

void check_share(const Dataset& data, double share) {
  if (!(share > 0 && share < 1)) {
    throw InputError(concat(data.source, ": the held-out share must lie between 0 and 1, not ", share));
  }
}

std::pair<Dataset, Dataset> cut(const Dataset& data, const std::vector<std::uint8_t>& held_out) {
  std::vector<int> rest, held;
  for (int i = 0; i < data.size(); ++i) (held_out[static_cast<std::size_t>(i)] != 0 ? held : rest).push_back(i);
  return {data.subset(rest), data.subset(held)};
}

}  // namespace

Dataset load_dataset(const std::string& source, const LoadOptions& options) {
  check_options(source, options);
  if (source.rfind("idx:", 0) == 0) return load_idx(source.substr(4), options);
  std::error_code error;
  if (!fs::exists(source, error)) {
    throw InputError(
        concat(source, ": no such folder; use a folder with one sub-folder an identity, or idx:IMAGES,LABELS"));
  }
  if (!fs::is_directory(source, error)) {
    throw InputError(concat(source, ": is not a folder; for IDX files use idx:IMAGES,LABELS"));
  }
  return load_folder(source, options);
}

std::vector<PictureFolder> find_pictures(const std::string& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) throw InputError(concat(folder, ": no such folder"));
  std::vector<PictureFolder> found;
  std::vector<fs::path> above;
  collect(folder, "", above, found);
  return found;
}

void load_pictures(Dataset& data, const LoadOptions& options) {
  check_options(data.source, options);
  if (data.files.empty()) throw InputError(concat(data.source, ": holds no pictures"));
  data.height = options.height;
  data.width = options.width;
  data.channels = options.channels;
  if (data.height == 0) {
    const Image first = read_image_header(data.files.front());
    data.height = first.height;
    data.width = first.width;
  }
  if (data.channels == 0) {
    std::atomic<bool> colour{false};
    for_each_file(data.files, "looked at", options.quiet, [&](int i) {
      if (read_image_header(data.files[static_cast<std::size_t>(i)]).channels == 3) colour = true;
    });
    data.channels = colour ? 3 : 1;
  }
  const std::size_t bytes = data.image_bytes();
  try {
    data.pixels.resize(data.files.size() * bytes);
  } catch (const std::bad_alloc&) {
    throw InputError(concat(data.source, ": ", data.files.size(), " pictures of ", data.height, "x", data.width, "x",
                            data.channels, " do not fit into memory; use a smaller size or a limit per identity"));
  }
  for_each_file(data.files, "read", options.quiet, [&](int i) {
    const auto row = static_cast<std::size_t>(i);
    const Image image = resize(read_image(data.files[row], data.channels), data.height, data.width);
    std::copy(image.pixels.begin(), image.pixels.end(), data.pixels.begin() + static_cast<std::ptrdiff_t>(row * bytes));
  });
}

Dataset Dataset::subset(std::span<const int> rows) const {
  std::vector<std::int32_t> renumbered(identities.size(), -1);
  for (const int row : rows) {
    if (row < 0 || row >= size()) throw Error(concat(source, ": row ", row, " of ", size()));
    renumbered[static_cast<std::size_t>(labels[static_cast<std::size_t>(row)])] = 0;
  }
  Dataset part;
  part.source = source;
  part.height = height;
  part.width = width;
  part.channels = channels;
  for (std::size_t i = 0; i < identities.size(); ++i) {
    if (renumbered[i] < 0) continue;
    renumbered[i] = static_cast<std::int32_t>(part.identities.size());
    part.identities.push_back(identities[i]);
  }
  part.pixels.reserve(rows.size() * image_bytes());
  for (const int row : rows) {
    const auto i = static_cast<std::size_t>(row);
    const auto from = image(row);
    part.pixels.insert(part.pixels.end(), from.begin(), from.end());
    part.labels.push_back(renumbered[static_cast<std::size_t>(labels[i])]);
    if (!files.empty()) part.files.push_back(files[i]);
  }
  return part;
}

Dataset Dataset::only(std::span<const std::string> names) const {
  std::vector<std::uint8_t> wanted(identities.size(), 0);
  for (const std::string& name : names) {
    const auto found = std::find(identities.begin(), identities.end(), name);
    if (found == identities.end()) throw InputError(concat(source, ": has no identity '", name, "'"));
    wanted[static_cast<std::size_t>(found - identities.begin())] = 1;
  }
  std::vector<int> rows;
  for (int row = 0; row < size(); ++row) {
    if (wanted[static_cast<std::size_t>(labels[static_cast<std::size_t>(row)])] != 0) rows.push_back(row);
  }
  Dataset part = subset(rows);
  part.source += concat(" (", part.identities.size(), " of its identities)");
  return part;
}

Dataset Dataset::with_quarter_turns() const {
  if (height != width) {
    throw InputError(concat(source, ": its images are ", height, "x", width, "; only square ones can be turned"));
  }
  Dataset all = *this;
  all.source += " (and its quarter turns)";
  const auto n_identities = static_cast<std::int32_t>(identities.size());
  const auto side = static_cast<std::size_t>(height), depth = static_cast<std::size_t>(channels);
  std::size_t from = 0;  // the turn before: turning it once more makes the next
  for (int turn = 1; turn < 4; ++turn) {
    for (const std::string& name : identities) all.identities.push_back(concat(name, " turned by ", 90 * turn));
    for (const std::int32_t label : labels) all.labels.push_back(label + turn * n_identities);
    all.files.insert(all.files.end(), files.begin(), files.end());
    all.pixels.resize(all.pixels.size() + pixels.size());
    for (std::size_t image = 0; image < labels.size(); ++image, from += image_bytes()) {
      const std::uint8_t* before = all.pixels.data() + from;
      std::uint8_t* after = all.pixels.data() + from + pixels.size();
      for (std::size_t row = 0; row < side; ++row) {
        for (std::size_t column = 0; column < side; ++column) {
          std::copy_n(before + (column * side + side - 1 - row) * depth, depth, after + (row * side + column) * depth);
        }
      }
    }
  }
  return all;
}

std::pair<Dataset, Dataset> Dataset::split_identities(double held_out_share, std::uint64_t seed) const {
  check_share(*this, held_out_share);
  const int count = static_cast<int>(identities.size());
  if (count < 4) {
    throw InputError(
        concat(source, ": has ", count, " identities; holding some out takes at least 4 (2 on either side)"));
  }
  const int held = std::clamp(static_cast<int>(std::lround(held_out_share * count)), 2, count - 2);
  Random random(seed);
  const std::vector<int> order = shuffled(count, random);
  std::vector<std::uint8_t> is_held(identities.size(), 0), held_out(labels.size());
  for (int i = 0; i < held; ++i) is_held[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])] = 1;
  std::transform(labels.begin(), labels.end(), held_out.begin(),
                 [&](std::int32_t label) { return is_held[static_cast<std::size_t>(label)]; });
  return cut(*this, held_out);
}

std::pair<Dataset, Dataset> Dataset::split_images(double held_out_share, std::uint64_t seed) const {
  check_share(*this, held_out_share);
  std::vector<std::vector<int>> rows_of(identities.size());
  for (int i = 0; i < size(); ++i) {
    rows_of[static_cast<std::size_t>(labels[static_cast<std::size_t>(i)])].push_back(i);
  }
  Random random(seed);
  std::vector<std::uint8_t> held_out(labels.size(), 0);
  for (const std::vector<int>& rows : rows_of) {
    const int count = static_cast<int>(rows.size());
    const int held = std::min(static_cast<int>(std::lround(held_out_share * count)), count - 1);
    const std::vector<int> order = shuffled(count, random);
    for (int i = 0; i < held; ++i) {
      held_out[static_cast<std::size_t>(rows[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])])] = 1;
    }
  }
  if (std::find(held_out.begin(), held_out.end(), 1) == held_out.end()) {
    throw InputError(concat(source, ": its identities have too few images to hold out a share of ", held_out_share));
  }
  return cut(*this, held_out);
}

// ---- preprocessing
Preprocessing Dataset::statistics() const {
  if (size() == 0) throw InputError(concat(source, ": no images to take the mean of"));
  Preprocessing result{height, width, channels, {}, {}};
  const auto stride = static_cast<std::size_t>(channels);
  for (std::size_t c = 0; c < stride; ++c) {
    std::uint64_t count = 0, sum = 0, squares = 0;  // exact: bytes
    for (std::size_t i = c; i < pixels.size(); i += stride) {
      ++count;
      sum += pixels[i];
      squares += std::uint64_t{pixels[i]} * pixels[i];
    }
    const double mean = static_cast<double>(sum) / static_cast<double>(count);
    const double variance = static_cast<double>(squares) / static_cast<double>(count) - mean * mean;
    const double deviation = std::sqrt(std::max(variance, 0.0)) / 255;
    result.mean.push_back(static_cast<float>(mean / 255));
    result.deviation.push_back(deviation > 1e-6 ? static_cast<float>(deviation) : 1.0F);
  }
  return result;
}

std::string Preprocessing::text() const {
  return nlohmann::json{
      {"height", height}, {"width", width}, {"channels", channels}, {"mean", mean}, {"deviation", deviation}}
      .dump();
}

Preprocessing Preprocessing::parse(const std::string& text, const std::string& file_name) {
  auto fail = [&](const std::string& what) { throw InputError(concat(file_name, ": its preprocessing ", what)); };
  Preprocessing result;
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    json.at("height").get_to(result.height);
    json.at("width").get_to(result.width);
    json.at("channels").get_to(result.channels);
    json.at("mean").get_to(result.mean);
    json.at("deviation").get_to(result.deviation);
  } catch (const nlohmann::json::exception&) {
    fail("is not an object with height, width, channels, mean and deviation; the file is damaged");
  }
  if (result.height < 1 || result.width < 1 || result.height > kMaxSide || result.width > kMaxSide ||
      (result.channels != 1 && result.channels != 3)) {
    fail(concat("asks for pictures of ", result.height, "x", result.width, "x", result.channels));
  }
  const auto channels = static_cast<std::size_t>(result.channels);
  if (result.mean.size() != channels || result.deviation.size() != channels) {
    fail("has not one mean and deviation a channel");
  }
  for (std::size_t c = 0; c < channels; ++c) {
    if (!std::isfinite(result.mean[c]) || !std::isfinite(result.deviation[c]) || !(result.deviation[c] > 0)) {
      fail("has a mean that is not finite, or a deviation that is not positive");
    }
  }
  return result;
}

ImageShape Preprocessing::shape(int n) const {
  ImageShape shape{.n = n, .h = height, .w = width, .c = channels};
  std::copy(mean.begin(), mean.end(), shape.mean);
  std::copy(deviation.begin(), deviation.end(), shape.deviation);
  return shape;
}

}  // namespace gemel
