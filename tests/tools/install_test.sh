#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `cmake --install` gives a package that another project finds, links and runs.
set -euo pipefail
build=$3
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/installed" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
cat >"$work/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.22)
project(consumer LANGUAGES CXX)
find_package(gemel 0.1 REQUIRED)
add_executable(consumer main.cpp)
target_link_libraries(consumer PRIVATE gemel::gemel)
CMAKE
cat >"$work/main.cpp" <<'CPP'
#include <cstdio>

#include "layers/network.h"

int main() {
  auto device = gemel::open_device("simt");
  auto network = gemel::Network::load("lenet");
  std::printf("%s %d\n", device->name().c_str(), network.embedding_size());
}
CPP
# A build with sanitizers needs their runtime in the program too.
flags=$(grep -oP '^GEMEL_SANITIZE:STRING=\K.+' "$build/CMakeCache.txt" || true)
cmake -G Ninja -S "$work" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/installed" ${flags:+-DCMAKE_CXX_FLAGS=-fsanitize=$flags} >"$work/log" 2>&1 &&
  cmake --build "$work/build" >>"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
[ "$("$work/build/consumer")" = "simt 128" ]
