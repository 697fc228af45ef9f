#!/usr/bin/env bash
# The kernels are compiled once a device; a symbol that two devices' libraries both define would silently be one of them. So no
# defined symbol of Gemel's may be in two of the kernel libraries.
#   tools/check_symbols.sh BUILD_DIR
set -euo pipefail
build=${1:?usage: check_symbols.sh BUILD_DIR}
names=$(mktemp -d); trap 'rm -rf "$names"' EXIT
libraries=()
for folder in simt cpu cuda simt/check; do
  device=${folder##*/}
  library=$build/kernels/$folder/libgemel_kernels_$device.a
  [ -f "$library" ] || continue
  nm --defined-only --extern-only "$library" 2>/dev/null | awk 'NF == 3 { print $3 }' | c++filt | grep 'gemel' | sort -u >"$names/$device"
  libraries+=("$device")
done
[ ${#libraries[@]} -ge 2 ] || { echo "check_symbols: fewer than two kernel libraries in $build" >&2; exit 2; }
status=0
for ((i = 0; i < ${#libraries[@]}; i++)); do
  for ((j = i + 1; j < ${#libraries[@]}; j++)); do
    shared=$(comm -12 "$names/${libraries[i]}" "$names/${libraries[j]}")
    [ -z "$shared" ] || { printf 'in both %s and %s:\n%s\n' "${libraries[i]}" "${libraries[j]}" "$shared"; status=1; }
  done
done
[ $status -eq 0 ] && echo "symbols: ${libraries[*]} share none"
exit $status
