#!/usr/bin/env bash
# Installs by apt whatever Gemel's build, tests and demonstration need and this Debian or Ubuntu machine lacks.
#   tools/setup.sh          what building and running needs
#   tools/setup.sh test     and what the tests and checks need
#   tools/setup.sh demo     and the Fashion-MNIST images
# Asks for nothing, installs nothing that is there. Needs root or sudo only when something is missing.
set -euo pipefail

packages=(g++ cmake ninja-build zlib1g-dev libstb-dev libjpeg-dev libexif-dev libcli11-dev nlohmann-json3-dev)
for group in "$@"; do
  case $group in
    test) packages+=(libgtest-dev libbenchmark-dev binutils python3 clang-format dataset-fashion-mnist) ;;
    demo) packages+=(dataset-fashion-mnist) ;;
    *) echo "setup.sh: unknown group '$group'; known: test, demo" >&2; exit 2 ;;
  esac
done

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

sudo=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "setup.sh: missing: ${missing[*]}; run as root: apt-get install ${missing[*]}" >&2; exit 2; }
  sudo=(sudo)
fi
echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${sudo[@]}" apt-get update -qq
"${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
