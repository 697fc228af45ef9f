// SPDX-License-Identifier: MIT
//
// Dropout: the definition, with the engine's Philox: the kernels must draw the same numbers, to the bit.
#include <cstdint>
#include <string>

#include "kernels/philox.h"
#include "tests/reference/op_case.h"

namespace gemel::reference {
namespace {

struct Draw {
  float rate;
  std::uint64_t seed;
  std::uint32_t stream;
  int step;  // below 0: none is given, which means 0
};

bool kept(const Draw& d, std::size_t i) {
  const std::uint64_t t = d.step < 0 ? 0 : static_cast<std::uint64_t>(d.step);
  const std::uint32_t word = philox_block(d.seed, d.stream, (t << 32) + i / 4).word[i % 4];
  return !(unit_uniform(word) < d.rate);
}

OpCase dropout_case(int count, const Draw& d, bool in_place = false) {
  OpCase c;
  c.op = "dropout";
  c.shape = std::to_string(count) + " rate=" + std::to_string(d.rate) + " step=" + std::to_string(d.step) +
            (in_place ? " in place" : "");
  c.tensors = {{.name = "x", .shape = {count}, .role = in_place ? Role::inout : Role::input},
               // A StepState, of whose words `step` is one.
               {.name = "state",
                .shape = {static_cast<int>(sizeof(StepState) / sizeof(std::int32_t))},
                .fill = {.kind = Fill::Kind::constant, .a = static_cast<double>(d.step)},
                .dtype = Dtype::i32}};
  if (!in_place) c.tensors.push_back({.name = "y", .shape = {count}, .role = Role::output});
  const std::string y = in_place ? "x" : "y";
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    const auto* state = d.step < 0 ? nullptr : static_cast<const StepState*>(t.raw("state"));
    k.dropout(q, static_cast<std::size_t>(count), d.rate, d.seed, d.stream, state, t.f32("x"), t.f32(y));
  };
  c.reference = [=](Values& v) {
    for (std::size_t i = 0; i < v["x"].size(); ++i) v[y][i] = kept(d, i) ? v["x"][i] / (1 - double{d.rate}) : 0;
  };
  c.absolute = 0;
  c.cost = {.flops = static_cast<double>(count), .bytes = 8.0 * count};
  return c;
}

}  // namespace

std::vector<OpCase> dropout_cases(Depth depth) {
  std::vector<OpCase> cases;
  constexpr std::uint64_t kSeed = 0x1234567890ABCDEF;
  for (const int count : {1, 2, 3, 4, 31, 1023, 4099}) {
    cases.push_back(dropout_case(count, {.rate = 0.5f, .seed = kSeed, .stream = 7, .step = -1}));
    cases.push_back(dropout_case(count, {.rate = 0.1f, .seed = 3, .stream = 0xFFFFFFFF, .step = 41}));
  }
  cases.push_back(dropout_case(33, {.rate = 0, .seed = 1, .stream = 0, .step = 0}));
  cases.push_back(dropout_case(1023, {.rate = 0.99f, .seed = 1, .stream = 0, .step = 2147483647}));
  cases.push_back(dropout_case(1023, {.rate = 0.5f, .seed = kSeed, .stream = 7, .step = 2}, true));
  if (depth == Depth::full) {
    cases.push_back(dropout_case(1 << 22, {.rate = 0.5f, .seed = kSeed, .stream = 7, .step = 2}));
    cases.back().bench = true;
  }
  return cases;
}

}  // namespace gemel::reference
