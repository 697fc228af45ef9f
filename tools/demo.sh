#!/usr/bin/env bash
# From a fresh Debian or Ubuntu to a trained, evaluated and used model: installs what is missing, builds, trains on
# Fashion-MNIST on the best device of the machine, evaluates on the test half, writes out/report.html, verifies pictures.
#   tools/demo.sh
# GEMEL_DEVICE picks another device (cpu, simt, cuda:1). On two cores without a GPU: two to three minutes to build, one to train and use.
set -euo pipefail
cd "$(dirname "$0")/.."
device=${GEMEL_DEVICE:-auto}
data=idx:/usr/share/datasets/fashion-mnist
model=out/fashion.safetensors

say() { printf '\n== %s\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }

say "what the machine needs"
tools/setup.sh demo

say "building"
mkdir -p out
{ cmake --preset release -DGEMEL_TESTS=OFF -DGEMEL_BENCH=OFF && cmake --build --preset release --target gemel_cli; } >out/build.log 2>&1 ||
  { tail -n 30 out/build.log; exit 1; }
gemel=build/gemel
run $gemel devices

say "training on 60,000 pictures of clothes"
run $gemel train $data --net small --loss triplet --steps 400 --lr 0.002 --holdout 0.05 --device "$device" -o $model --report out/report.html

say "evaluating on 10,000 others"
run $gemel eval $model $data:test --device "$device"

say "are two pictures of the same kind?"
mapfile -t pictures < <($gemel extract $data:test --rows 0,23,1 -o out/pictures)
for other in "${pictures[@]:1}"; do
  run $gemel verify $model "${pictures[0]}" "$other" --device "$device" || [ $? -eq 1 ]
done

say "the CUDA kernels themselves, run thread by thread on this CPU, give the same embeddings"
run $gemel embed $model $data:test --rows 0:64 --device "$device" --compare-device simt

say "done: open out/report.html"
