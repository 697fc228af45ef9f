#!/usr/bin/env bash
# The tree keeps its rules, and the checker sees an offence when there is one.
set -euo pipefail
root=$2
bash "$root/tools/check_tree.sh" "$root"
copy=$(mktemp -d); trap 'rm -rf "$copy"' EXIT
mkdir -p "$copy"/{kernels,engine,layers,siamese}
expect_offence() {  # FILE TEXT PATTERN
  printf '// SPDX-License-Identifier: MIT\n%s\n' "$2" >"$copy/$1"
  output=$(bash "$root/tools/check_tree.sh" "$copy" || true)
  grep -q "$3" <<<"$output" || { echo "not seen in $1: $2"; echo "$output"; exit 1; }
  rm "$copy/$1"
}
expect_offence kernels/a.cu '#include "engine/device.h"' 'kernels/ includes from above'
expect_offence layers/a.cpp '#include "siamese/loss.h"' 'layers/ includes from above'
expect_offence engine/a.cpp '#include <cuda_runtime.h>' 'CUDA headers outside'
expect_offence kernels/a.cu 'void f() { k<<<1, 2>>>(); }' 'instead of launch'
expect_offence kernels/a.cu '__device__ void f(float* p) { atomicAdd(p, 1.0f); }' 'float atomics'
expect_offence siamese/a.cpp '#ifdef __CUDACC__' 'asks for the compiler'
expect_offence engine/a.cpp "$(yes '// line' | head -n 401)" 'over 400 lines'
