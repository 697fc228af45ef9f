// SPDX-License-Identifier: MIT
//
// The training step, and the host's few duties around it: a new block of batches now and then, a look at the loss at
// reports.
#include "siamese/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "engine/error.h"

namespace gemel {
namespace {

// Draws of the augmentation are not those of the sampler or of dropout.
constexpr std::uint64_t kAugmentationSeed = 0x6175676D656E7421;
constexpr std::size_t kHealthPairs = 2048, kValidationPairs = 20000;

void check(const Dataset& data, const TrainOptions& options, const TwinEncoder& encoder, const EmbeddingLoss& loss) {
  const Preprocessing& p = encoder.preprocessing();
  auto fail = [&](const std::string& what) { throw InputError("training: " + what); };
  if (options.steps < 1) fail(concat("steps must be 1 or more, not ", options.steps));
  if (options.report_every < 1) fail(concat("reports come every 1 or more steps, not ", options.report_every));
  if (options.plan_steps < 1) fail(concat("batches are planned for 1 or more steps, not ", options.plan_steps));
  const Augmentation& a = options.augmentation;
  if (!(a.scale_low > 0 && a.scale_low <= a.scale_high)) {
    fail(concat("pictures are scaled by positive factors, not by ", a.scale_low, " to ", a.scale_high));
  }
  if (!(a.shear >= 0 && a.shear < 1)) fail(concat("the shear must be below 1, not ", a.shear));
  if (options.validate_every < 0 || options.patience < 0) fail("validations and patience are counted from 0");
  if (options.validate_every > 0 && options.validation == nullptr) fail("no data to validate on");
  if (data.height != p.height || data.width != p.width || data.channels != p.channels) {
    fail(concat("the images of ", data.source, " are ", data.height, "x", data.width, "x", data.channels,
                ", the encoder takes ", p.height, "x", p.width, "x", p.channels, "; load them in that size"));
  }
  if (encoder.metric().kind() != loss.metric()) {
    fail(concat("the loss ", loss.describe(), " takes a model that measures by ", Metric::name(loss.metric()),
                ", this one measures by ", Metric::name(encoder.metric().kind())));
  }
}

// P x K as asked for, or, where the data has fewer than P identities, all of them, with more images of each, so that the
// batch keeps its size.
std::unique_ptr<Sampler> make_sampler(const EmbeddingLoss& loss, const Dataset& data, const TrainOptions& options) {
  if (loss.wants_pairs()) return balanced_pairs(data.labels, options.pairs, options.seed);
  const int identities = static_cast<int>(data.identities.size());
  const bool enough = identities >= options.p || identities < 2;
  const int p = enough ? options.p : identities;
  const int k = enough ? options.k : std::max(options.k, options.p * options.k / identities);
  return identities_by_images(data.labels, p, k, options.seed);
}

}  // namespace

Trainer::Trainer(TwinEncoder& encoder, const Dataset& data, const TrainOptions& options)
    : encoder_(encoder), options_(options), loss_(make_loss(options.loss)) {
  check(data, options_, encoder, *loss_);
  options_.plan_steps = std::min(options_.plan_steps, options_.steps);
  options_.schedule.total = options_.steps;
  sampler_ = make_sampler(*loss_, data, options_);

  Device& device = encoder_.device();
  Stream& stream = encoder_.stream();
  const auto n = static_cast<std::size_t>(rows());
  optimizer_ =
      std::make_unique<Optimizer>(device, stream, encoder_.network().parameters(), options_.rule, options_.schedule);
  plan_ = std::make_unique<Plan>(encoder_.network(), device, rows(), Plan::Mode::training, options_.seed);
  host_index_.resize(static_cast<std::size_t>(options_.plan_steps) * n);
  images_ = arena_.plan(data.pixels.size());
  labels_ = arena_.plan(data.labels.size() * sizeof(std::int32_t));
  index_ = arena_.plan(host_index_.size() * sizeof(std::int32_t));
  batch_labels_ = arena_.plan(n * sizeof(std::int32_t));
  augment_scratch_ = arena_.plan(device.kernels().image_augment_scratch(encoder.preprocessing().shape(rows())));
  loss_->plan(device.kernels(), arena_, encoder_.network().parameters(),
              {.rows = rows(),
               .d = encoder_.network().embedding_size(),
               .classes = static_cast<int>(data.identities.size()),
               .alike = sampler_->alike()});
  arena_.allocate(device);
  device.upload(stream, arena_.data(images_), data.pixels.data(), images_.bytes);
  device.upload(stream, arena_.data(labels_), data.labels.data(), labels_.bytes);
  in_plan_ = options_.plan_steps;  // the first step fills it
}

int Trainer::rows() const { return sampler_->rows(); }

void Trainer::refill() {
  const auto n = static_cast<std::size_t>(rows());
  for (std::size_t i = 0; i < host_index_.size(); i += n) sampler_->next({host_index_.data() + i, n});
  Device& device = encoder_.device();
  device.upload(encoder_.stream(), arena_.data(index_), host_index_.data(), index_.bytes);
  optimizer_->rewind_cursor(device, encoder_.stream());
  in_plan_ = 0;
}

void Trainer::queue_step() {
  const Kernels& kernels = encoder_.device().kernels();
  Stream& stream = encoder_.stream();
  const Queue queue = plan_->queue(stream);
  StepState* state = optimizer_->state();
  const auto* index = static_cast<const std::int32_t*>(arena_.data(index_));
  auto* batch_labels = static_cast<std::int32_t*>(arena_.data(batch_labels_));

  optimizer_->begin_step(queue);
  Queue augment_queue = queue;
  augment_queue.scratch = {.data = arena_.data(augment_scratch_), .bytes = augment_scratch_.bytes};
  kernels.image_augment(augment_queue, encoder_.preprocessing().shape(rows()), options_.augmentation,
                        options_.seed ^ kAugmentationSeed, static_cast<const std::uint8_t*>(arena_.data(images_)),
                        index, state, plan_->input());
  kernels.gather_labels(queue, rows(), static_cast<const std::int32_t*>(arena_.data(labels_)), index, &state->cursor,
                        batch_labels);
  plan_->forward(stream, rows(), state);
  loss_->run(kernels, queue, arena_, plan_->output(), batch_labels, state, plan_->output_gradient());
  plan_->backward(stream, rows(), state);
  optimizer_->apply(queue, encoder_.network().parameters());
  optimizer_->end_step(queue);
}

void Trainer::step() {
  if (in_plan_ == options_.plan_steps) refill();
  if (done_ == 0) {
    queue_step();
  } else {
    if (!graph_) graph_ = encoder_.device().record(encoder_.stream(), [this] { queue_step(); });
    graph_.replay(encoder_.stream());
    encoder_.network().parameters().count_writing();
  }
  ++in_plan_;
  ++done_;
}

TrainReport Trainer::report(double seconds) {
  const Optimizer::Progress progress = optimizer_->read(encoder_.device(), encoder_.stream());
  if (!std::isfinite(progress.mean_loss)) {
    throw Error(concat("the loss is not finite (", progress.mean_loss, ") between steps ", reported_, " and ", done_,
                       "; try a lower learning rate (it was ", progress.learning_rate,
                       "), a warm-up, or normalised embeddings"));
  }
  const double images = static_cast<double>(done_ - reported_) * rows();
  reported_ = done_;
  return {.step = done_,
          .steps = options_.steps,
          .mean_loss = progress.mean_loss,
          .active = progress.mean_active,
          .learning_rate = progress.learning_rate,
          .images_per_second = seconds > 0 ? images / seconds : 0,
          .health = batch_health()};
}

EmbeddingHealth Trainer::batch_health() {
  Device& device = encoder_.device();
  Stream& stream = encoder_.stream();
  const int d = encoder_.network().embedding_size();
  const auto n = static_cast<std::size_t>(rows());
  std::vector<float> embeddings(n * static_cast<std::size_t>(d));
  std::vector<std::int32_t> labels(n);
  device.download(stream, embeddings.data(), plan_->output(), embeddings.size() * sizeof(float));
  device.download(stream, labels.data(), arena_.data(batch_labels_), batch_labels_.bytes);
  const PairList pairs = make_pairs(labels, kHealthPairs, options_.seed);
  return embedding_health(embeddings, rows(), d, pair_distances(encoder_, embeddings, pairs), pairs.same);
}

double Trainer::validate() {
  const Dataset& data = *options_.validation;
  const PairList pairs = make_pairs(data.labels, kValidationPairs, options_.seed);
  return verify_pairs(pair_distances(encoder_, encoder_.embed(data), pairs), pairs.same).auc;
}

void Trainer::keep_parameters() {
  const Parameters& parameters = encoder_.network().parameters();
  best_values_.resize(parameters.count());
  encoder_.device().download(encoder_.stream(), best_values_.data(), parameters.values(),
                             best_values_.size() * sizeof(float));
  best_step_ = done_;
}

void Trainer::restore_parameters() {
  encoder_.device().upload(encoder_.stream(), encoder_.network().parameters().writable_values(), best_values_.data(),
                           best_values_.size() * sizeof(float));
}

void Trainer::run(const std::function<void(const TrainReport&)>& on_report, const std::function<bool()>& stop) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point since = Clock::now();
  int since_best = 0;  // validations
  for (bool last = false; !last && done_ < options_.steps;) {
    step();
    last = done_ == options_.steps || (stop && stop());
    const bool validated = options_.validate_every > 0 && (last || done_ % options_.validate_every == 0);
    if (!last && !validated && done_ % options_.report_every != 0) continue;
    encoder_.stream().synchronize();
    TrainReport now = report(std::chrono::duration<double>(Clock::now() - since).count());
    if (validated) {
      now.validation = validate();
      ++since_best;
      if (*now.validation > best_score_) {
        best_score_ = *now.validation;
        since_best = 0;
        keep_parameters();
      }
      last = last || (options_.patience > 0 && since_best >= options_.patience);
    }
    history_.push_back(now);
    if (on_report) on_report(now);
    since = Clock::now();
  }
  if (best_values_.empty()) {
    best_step_ = done_;
  } else {
    restore_parameters();
  }
}

std::string Trainer::describe() const {
  return concat(loss_->describe(), ", ", sampler_->describe(), ", ", optimizer_->describe(), ", ", options_.steps,
                " steps, seed ", options_.seed);
}

}  // namespace gemel
