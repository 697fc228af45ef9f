#!/usr/bin/env bash
# An object of kernels/cpu/ that is compiled for AVX must define nothing outside its own namespace: a weak symbol there
# (an inline function of a shared header, a std:: template) could be the copy that the linker keeps for every processor.
#   symbols_test.sh LIBRARY
set -euo pipefail

# Prints each symbol of the library at $1 that breaks the rule.
strays() {
  nm -C --defined-only --extern-only "$1" | awk '
    function report(  i) {
      for (i = 0; isa != "" && i < count; i++) {
        if (index(names[i], "gemel::cpu::" isa "::") == 0) print isa ": " names[i]
      }
      members += isa != ""; isa = ""; count = 0
    }
    /:$/ { report(); next }
    NF >= 3 {
      name = $0; sub(/^[0-9a-f]* [A-Za-z] /, "", name)
      if (name ~ /^DW\.ref\./) next  # a pointer, not code
      names[count++] = name
      if (match(name, /gemel::cpu::avx[0-9]+::/)) isa = substr(name, 13, RLENGTH - 14)
    }
    END { report(); if (members == 0) print "no object for AVX in the library" }'
}

[ "$(uname -m)" = x86_64 ] || { echo "no AVX here"; exit 77; }
found=$(strays "$1")
[ -z "$found" ] || { echo "$found"; exit 1; }

# And the check sees a stray symbol when there is one.
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
echo 'inline int shared(int x) { return x; }
namespace gemel::cpu::avx2 { int (*entry())(int) { return shared; } }' >"$work/stray.cpp"
c++ -c "$work/stray.cpp" -o "$work/stray.o"
ar rc "$work/stray.a" "$work/stray.o"
strays "$work/stray.a" | grep -q '^avx2: shared(int)$' || { echo "a stray symbol was not seen"; exit 1; }
