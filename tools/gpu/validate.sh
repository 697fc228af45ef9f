#!/usr/bin/env bash
# Everything that a GPU can tell about a build, in one call on a bare GPU machine: nothing is installed, nothing is compiled.
#
#   tools/gpu/validate.sh [--build DIR] [--out DIR] [--device cuda|simt|cpu] [--seconds N]
#
# --build   where the binaries lie (default build/); build them anywhere with `cmake --preset release && cmake --build --preset release`
# --out     where logs, JSON and the table go (default out/gpu)
# --device  another device than cuda dry-runs the script on a machine without a GPU (no sanitizer, no peers)
# --seconds time for the whole call (default 530): what does not fit is listed as skipped, never dropped in silence
#
# Steps: the test suite, `gemel check` on every case, compute-sanitizer (memcheck, racecheck, synccheck, initcheck) over the
# quick cases, benchmarks, cuBLAS and PyTorch in the same run where they are found. Exit status 0 only if all of them passed.
set -uo pipefail
cd "$(dirname "$0")/../.."
build=build out=out/gpu device=cuda seconds=530
while [ $# -gt 0 ]; do
  case $1 in
    --build) build=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    --device) device=$2; shift 2 ;;
    --seconds) seconds=$2; shift 2 ;;
    *) echo "validate.sh: unknown argument '$1'; see the head of this file" >&2; exit 2 ;;
  esac
done
[ -x "$build/gemel" ] || { echo "validate.sh: no $build/gemel; build first, or name the folder with --build" >&2; exit 2; }
mkdir -p "$out"
deadline=$((SECONDS + seconds))
names=() results=() notes=()

# step NAME LIMIT_SECONDS COMMAND...: runs it with its output in $out/NAME.log; a limit that the rest of the time cannot hold skips it.
step() {
  local name=$1 limit=$2 start=$SECONDS left=$((deadline - SECONDS)) status
  shift 2
  names+=("$name")
  if [ $left -lt 10 ]; then results+=(skipped); notes+=("no time left"); return 0; fi
  timeout $((limit < left ? limit : left)) "$@" >"$out/$name.log" 2>&1
  status=$?
  case $status in
    0) results+=(ok) ;;
    77) results+=(skipped) ;;
    124) results+=(TIMEOUT) ;;
    *) results+=(FAILED) ;;
  esac
  notes+=("$((SECONDS - start)) s; $(tail -n 1 "$out/$name.log" | tr -d '\r"\\' | cut -c1-90)")
}

describe() {
  echo "date       $(date -u +%Y-%m-%dT%H:%M:%SZ)"
  echo "commit     $(git rev-parse --short HEAD 2>/dev/null || cat COMMIT 2>/dev/null || echo unknown)"
  echo "device     $device"
  if command -v nvidia-smi >/dev/null; then
    nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,power.limit --format=csv,noheader |
      awk -F', ' '{ print "gpu        " $1 "\ndriver     " $2 "\nclocks     SM " $3 " (max " $4 "), memory " $5 ", power limit " $6 }'
  fi
  echo "processor  $(awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo), $(nproc) threads"
}
describe | tee "$out/machine.txt"

export GEMEL_TEST_DEVICE=$device GEMEL_BENCH_DEVICE=$device
step devices 60 "$build/gemel" devices
step check 200 "$build/gemel" check --device "$device" --depth full
for room in engine layers siamese; do
  step "tests-$room" 200 "$build/tests/test_$room" --gtest_brief=1
done

if [ "$device" = cuda ]; then
  sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
  for tool in memcheck racecheck synccheck initcheck; do
    if [ -n "$sanitizer" ]; then
      step "sanitizer-$tool" 100 "$sanitizer" --tool $tool --error-exitcode 1 "$build/gemel" check --device cuda --depth quick
    else
      step "sanitizer-$tool" 10 bash -c 'echo "compute-sanitizer not found"; exit 77'
    fi
  done
fi

quick=(); [ "$device" = cuda ] || quick=(--quick)
step bench 150 "$build/gemel" bench --device "$device" "${quick[@]}" --json "$out/bench.json"
if [ "$device" = cuda ]; then
  # cuBLAS comes with the toolkit, or with PyTorch's packages.
  libraries=$(python3 - <<'P' 2>/dev/null
import glob, os, site, sys
roots = site.getsitepackages() + [p for p in sys.path if p.endswith("site-packages")]
print(":".join(sorted({os.path.dirname(f) for r in roots for f in glob.glob(r + "/nvidia/**/libcublas.so*", recursive=True)})))
P
  )
  if [ -x "$build/bench/cublas_bench" ]; then
    step cublas 60 env LD_LIBRARY_PATH="${libraries}:/usr/local/cuda/lib64:${LD_LIBRARY_PATH:-}" "$build/bench/cublas_bench" \
      --benchmark_out="$out/cublas.json" --benchmark_out_format=json
  fi
  step peers 150 python3 tools/gpu/peers.py "$out/bench.json" --gemel "$build/gemel" --json "$out/peers.json"
  [ -f "$out/peers.json" ] && step compare 10 tools/compare_bench "$out/peers.json" "$out/bench.json"
fi

# ---- the short table, and the same as JSON
status=0
printf '\n%-22s %-8s %s\n' step result note
{
  printf '{\n  "machine": "%s",\n  "steps": [' "$(tr '\n' ';' <"$out/machine.txt" | tr -s ' ')"
  for i in "${!names[@]}"; do
    printf '%s\n    {"step": "%s", "result": "%s", "note": "%s"}' "$([ "$i" -gt 0 ] && echo ,)" "${names[i]}" "${results[i]}" "${notes[i]}"
  done
  printf '\n  ]\n}\n'
} >"$out/summary.json"
for i in "${!names[@]}"; do
  printf '%-22s %-8s %s\n' "${names[i]}" "${results[i]}" "${notes[i]}"
  case ${results[i]} in FAILED | TIMEOUT) status=1 ;; esac
done | tee "$out/summary.txt"
grep -qE '(FAILED|TIMEOUT)' "$out/summary.txt" && status=1
[ -f "$out/bench.log" ] && [ "$device" = cuda ] && cat "$out/bench.log"
[ -f "$out/compare.log" ] && printf '\nPyTorch (before) and gemel (after)\n' && cat "$out/compare.log"
exit $status
