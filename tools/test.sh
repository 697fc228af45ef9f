#!/usr/bin/env bash
# Installs what is missing, builds everything, runs every test. Arguments go to ctest, e.g. tools/test.sh -R layers.
# GEMEL_PRESET picks another preset (debug, asan, tsan); GEMEL_DATA names a folder with orl_faces/, omniglot/ and photos/,
# GEMEL_FACES one with the three files that tools/get_face_model.sh fetches.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/setup.sh test
preset=${GEMEL_PRESET:-release}
cmake --preset "$preset" ${GEMEL_CMAKE_ARGS:-}
cmake --build --preset "$preset"
build=build; [ "$preset" = release ] || build=build-$preset
ctest --test-dir "$build" --output-on-failure -j "$(nproc)" "$@"
