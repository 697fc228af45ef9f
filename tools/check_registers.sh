#!/usr/bin/env bash
# Registers, stack and spills of every kernel of the CUDA build, read back from its object code; any local memory is an error.
#   tools/check_registers.sh BUILD_DIR [--table]
set -euo pipefail
build=${1:?usage: check_registers.sh BUILD_DIR [--table]}
library=$build/kernels/cuda/libgemel_kernels_cuda.a
[ -f "$library" ] || { echo "check_registers: no $library; build with nvcc first" >&2; exit 2; }
cuobjdump=$(command -v cuobjdump || echo /usr/local/cuda/bin/cuobjdump)
usage=$("$cuobjdump" --dump-resource-usage "$library" 2>/dev/null | c++filt |
  awk '/^ *arch *=/ || /Fatbin elf/ { } /arch = / { arch = $3 } /Function / { sub(/^.*Function /, ""); sub(/:$/, ""); name = $0 }
       /REG:/ { match($0, /REG:[0-9]+/); reg = substr($0, RSTART + 4, RLENGTH - 4); match($0, /STACK:[0-9]+/); stack = substr($0, RSTART + 6, RLENGTH - 6);
                match($0, /SHARED:[0-9]+/); shared = substr($0, RSTART + 7, RLENGTH - 7); match($0, /LOCAL:[0-9]+/); local = substr($0, RSTART + 6, RLENGTH - 6);
                printf "%s\t%d\t%d\t%d\t%d\t%s\n", arch, reg, shared, stack, local, name }')
[ -n "$usage" ] || { echo "check_registers: cuobjdump gave no resource usage for $library" >&2; exit 2; }
if [ "${2:-}" = --table ]; then printf 'arch\tregisters\tshared\tstack\tlocal\tkernel\n%s\n' "$usage"; fi
spilled=$(awk -F'\t' '$4 > 0 || $5 > 0' <<<"$usage")
if [ -n "$spilled" ]; then printf 'kernels with local memory (arch, registers, shared, stack, local, kernel):\n%s\n' "$spilled"; exit 1; fi
echo "registers: $(wc -l <<<"$usage") kernels, at most $(cut -f2 <<<"$usage" | sort -n | tail -n 1) registers, no local memory"
