#!/usr/bin/env bash
# No symbol is defined in two devices' kernel libraries; and the check sees one when there is one.
set -euo pipefail
root=$2; build=$3
bash "$root/tools/check_symbols.sh" "$build"
copy=$(mktemp -d); trap 'rm -rf "$copy"' EXIT
for device in simt cpu; do
  mkdir -p "$copy/kernels/$device"
  echo 'namespace gemel { void twice() {} }' >"$copy/$device.cpp"
  c++ -c "$copy/$device.cpp" -o "$copy/$device.o"
  ar rc "$copy/kernels/$device/libgemel_kernels_$device.a" "$copy/$device.o"
done
! bash "$root/tools/check_symbols.sh" "$copy" >"$copy/output" || { echo "a shared symbol was not seen"; exit 1; }
grep -q 'gemel::twice' "$copy/output"
