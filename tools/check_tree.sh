#!/usr/bin/env bash
# The rules of the tree (docs/architecture.md), checked by grep: which room may include which, where CUDA may be named, one
# launcher, formatting of the top level. Prints each offence as file:line; exit status 1 if there is any.
#   tools/check_tree.sh [ROOT]
set -uo pipefail
cd "${1:-$(dirname "$0")/..}" || exit 2
bad=0
offence() { [ -n "$2" ] && { printf '%s\n%s\n' "$1" "$2"; bad=1; }; }
sources() { find "$@" -type f \( -name '*.h' -o -name '*.cuh' -o -name '*.cpp' -o -name '*.cu' \) 2>/dev/null; }

# Includes go one way: kernels <- engine <- layers <- siamese <- tools, bench, tests.
above_kernels='engine|layers|siamese|tools|bench|tests'
offence 'kernels/ includes from above:' "$(sources kernels | xargs grep -nE "#include \"($above_kernels)/")"
offence 'engine/ includes from above:' "$(sources engine | xargs grep -nE '#include "(layers|siamese|tools|bench|tests)/')"
offence 'layers/ includes from above:' "$(sources layers | xargs grep -nE '#include "(siamese|tools|bench|tests)/')"
offence 'siamese/ includes from above:' "$(sources siamese | xargs grep -nE '#include "(tools|bench|tests)/')"
offence 'layers/ or siamese/ look into a device:' "$(sources layers siamese | xargs grep -nE '#include "(kernels/(cpu|simt)/|engine/(cuda|host)_device)' | grep -v thread_pool.h)"

# CUDA is named in two places, launched from one; nothing outside kernels/simt asks which compiler is at work.
offence 'CUDA headers outside kernels/simt/ and engine/cuda_device.*:' \
  "$(sources kernels engine layers siamese tools tests | xargs grep -nE '#include <cuda' | grep -vE '^(kernels/simt/|engine/cuda_device\.)')"
offence '<<< >>> instead of launch():' "$(sources kernels engine layers siamese tools bench tests | xargs grep -nE '<<<' | grep -vE '//.*<<<')"
offence 'asks for the compiler outside kernels/simt/:' "$(sources kernels engine layers siamese | xargs grep -nE '__CUDACC__|__CUDA_ARCH__' | grep -vE '^kernels/simt/')"
offence 'PTX outside kernels/simt/:' "$(sources kernels engine layers siamese | xargs grep -nE '\basm( volatile)?\(' | grep -vE '^kernels/(simt|cpu)/')"
offence 'float atomics in a kernel (not deterministic):' "$(sources kernels | grep -v '^kernels/simt/' | xargs grep -nE 'atomicAdd\(')"

# What a kernel asks of memory is bounded beside it (tests/kernels/check/contracts_test.cpp measures).
offence 'a kernel without SIMT_CONTRACT behind it:' \
  "$(for file in $(sources kernels | grep -v '^kernels/simt/' | xargs grep -l '__global__'); do
       sed -e 's://.*::' "$file" | tr '\n' ' ' | grep -oE '__global__[^(]*(__launch_bounds__\([^;{]*\))?[^(]*[a-z0-9_]+_kernel\(' | grep -oE '[a-z0-9_]+_kernel\($' |
         tr -d '(' | while read -r kernel; do grep -q "SIMT_CONTRACT($kernel\b" "$file" || echo "$file: $kernel"; done
     done)"

# The top level holds these and nothing else.
offence 'at the top level, beyond what the design names:' \
  "$(git ls-files 2>/dev/null | cut -d/ -f1 | sort -u | grep -vE '^(CMakeLists.txt|CMakePresets.json|README.md|LICENSE|kernels|engine|layers|siamese|bench|tests|tools|docs|\..*)$')"

# Files over 400 lines give a reason in their first lines ("Over 400 lines: ...").
for file in $(sources kernels engine layers siamese bench tests tools); do
  if [ "$(wc -l <"$file")" -gt 400 ] && ! head -n 15 "$file" | grep -q 'Over 400 lines'; then
    offence 'over 400 lines without a reason at the top ("Over 400 lines: ..."):' "$file"
  fi
done

# Comparators must reject NaN.
offence 'a comparator that lets NaN pass (write !(error <= tolerance)):' \
  "$(sources tests bench tools | xargs grep -nE '\b(error|err|diff)[a-z_]* > [a-z_]*tol')"
offence 'no licence line at the top:' "$(sources kernels engine layers siamese bench tests tools | xargs grep -L 'SPDX-License-Identifier: MIT')"
[ $bad -eq 0 ] && echo "tree: rules kept"
exit $bad
