#!/usr/bin/env bash
# Kernels keep within the registers of their contracts, and the check sees one that does not.
set -euo pipefail
check=$2/tools/cuda/check_registers.py build=$3
command -v python3 >/dev/null || { echo "python3 is missing"; exit 77; }
"$check" "$build"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/kernels/cuda"
say() { printf "ptxas info    : Compiling entry function '%s' for 'sm_80'\nptxas info    : Used %s registers\n" "$@"; }
say _ZN5gemel4cuda12_GLOBAL__N_120adam_stand_in_kernelEi 12 >"$work/kernels/cuda/a.ptxas"
if "$check" "$work" 2>"$work/err" >/dev/null; then echo "a kernel without a contract passes"; exit 1; fi
grep -q 'adam_stand_in_kernel: takes 12 registers, has no SIMT_CONTRACT' "$work/err"
say _ZN5gemel4cuda17sum_slices_kernelILb1EEEviiiPKfS3_Pf 255 >"$work/kernels/cuda/a.ptxas"
if "$check" "$work" 2>"$work/err" >/dev/null; then echo "255 registers pass"; exit 1; fi
grep -q 'sum_slices_kernel: takes 255 registers, may take' "$work/err"
