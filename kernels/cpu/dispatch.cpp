// SPDX-License-Identifier: MIT
#include <atomic>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/peak.h"

namespace gemel::cpu {

namespace baseline {
void replace_entries(Kernels& table);
std::int64_t multiply_adds(int steps);
}  // namespace baseline
#if defined(GEMEL_CPU_X86_64)
namespace avx2 {
void replace_entries(Kernels& table);
std::int64_t multiply_adds(int steps);
}  // namespace avx2
namespace avx512 {
void replace_entries(Kernels& table);
std::int64_t multiply_adds(int steps);
}  // namespace avx512
#endif

namespace {

Kernels make_table(void (*replace_entries)(Kernels&)) {
  Kernels table = simt::kernels();
  table.name = "cpu";
  replace_entries(table);
  return table;
}

#if defined(GEMEL_CPU_X86_64)
// __builtin_cpu_supports also asks whether the operating system saves the wide registers. The features are those of the
// flags in CMakeLists.txt.
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
         __builtin_cpu_supports("bmi2");
}
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

std::string_view choose_isa() {
  const char* wanted = std::getenv("GEMEL_CPU_ISA");
  if (wanted != nullptr && *wanted != '\0') {
    for (std::string_view isa : kIsaNames) {
      if (isa != wanted) continue;
      if (kernels_for(isa) != nullptr) return isa;
      throw std::invalid_argument("GEMEL_CPU_ISA is '" + std::string(isa) +
                                  "', which this processor or this build lacks");
    }
    throw std::invalid_argument("GEMEL_CPU_ISA is '" + std::string(wanted) + "'; baseline, avx2 or avx512 is wanted");
  }
  std::string_view widest;
  for (std::string_view isa : kIsaNames) {
    if (kernels_for(isa) != nullptr) widest = isa;
  }
  return widest;
}

}  // namespace

const Kernels* kernels_for(std::string_view isa) {
  if (isa == "baseline") {
    static const Kernels table = make_table(baseline::replace_entries);
    return &table;
  }
#if defined(GEMEL_CPU_X86_64)
  if (isa == "avx2" && has_avx2()) {
    static const Kernels table = make_table(avx2::replace_entries);
    return &table;
  }
  if (isa == "avx512" && has_avx512()) {
    static const Kernels table = make_table(avx512::replace_entries);
    return &table;
  }
#endif
  return nullptr;
}

std::int64_t run_multiply_adds(std::string_view isa, int steps) {
  if (kernels_for(isa) == nullptr) {
    throw std::invalid_argument("no instruction set '" + std::string(isa) + "' on this processor or in this build");
  }
#if defined(GEMEL_CPU_X86_64)
  if (isa == "avx2") return avx2::multiply_adds(steps);
  if (isa == "avx512") return avx512::multiply_adds(steps);
#endif
  return baseline::multiply_adds(steps);
}

std::string_view isa_name() {
  static const std::string_view name = choose_isa();
  return name;
}

namespace {
std::atomic<bool>& winograd_switch() {
  static std::atomic<bool> on{[] {
    const char* value = std::getenv("GEMEL_WINOGRAD");
    return value == nullptr || std::string_view(value) != "0";
  }()};
  return on;
}
}  // namespace

bool uses_winograd() { return winograd_switch().load(std::memory_order_relaxed); }
void use_winograd(bool on) { winograd_switch().store(on, std::memory_order_relaxed); }

const Kernels& kernels() { return *kernels_for(isa_name()); }

}  // namespace gemel::cpu
