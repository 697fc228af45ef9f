#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whether every kernel keeps within the registers that its contract allows (SIMT_CONTRACT(kernel, .registers = N), 64 where it
does not say), on every architecture it was compiled for.

  tools/cuda/check_registers.py BUILD [--all]

Reads the contracts in kernels/ and what ptxas said while BUILD was made (BUILD/kernels/cuda/**/*.ptxas). --all prints every
kernel's registers. Exit status 0; 1 where a kernel takes more, or has no contract; 77 in a build without nvcc."""

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
USUAL = 64


def contracts():
    """Kernel -> registers allowed."""
    allowed = {}
    for file in sorted(ROOT.glob("kernels/**/*.cu*")):
        for name, terms in re.findall(r"^SIMT_CONTRACT\((\w+)([^;]*)\);", file.read_text(encoding="utf-8"), re.M):
            registers = re.search(r"\.registers = (\d+)", terms)
            allowed[name] = int(registers[1]) if registers else USUAL
    return allowed


def kernel_of(symbol):
    """The function's name in a mangled one, `_ZN5gemel4cuda17sum_slices_kernelILb1EE...`; without template arguments."""
    at, name = symbol.find("_Z") + 2, ""
    while at < len(symbol):
        if symbol[at] in "NL":
            at += 1
            continue
        length = re.match(r"\d+", symbol[at:])
        if length is None:
            break
        at += len(length[0])
        name = symbol[at : at + int(length[0])]
        at += int(length[0])
    return name


def used(build):
    """Kernel -> the most registers of its instances."""
    most = {}
    for file in sorted(build.glob("kernels/cuda/**/*.ptxas")):
        kernel = None
        for line in file.read_text(encoding="utf-8").splitlines():
            entry = re.search(r"Compiling entry function '([^']+)'", line)
            registers = re.search(r"Used (\d+) registers", line)
            if entry:
                kernel = kernel_of(entry[1])
            elif registers and kernel:
                most[kernel] = max(most.get(kernel, 0), int(registers[1]))
    return most


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path)
    parser.add_argument("--all", action="store_true")
    arguments = parser.parse_args()
    taken = used(arguments.build)
    if not taken:
        print(f"no kernel of {arguments.build} was compiled by nvcc")
        return 77
    allowed = contracts()
    failed = 0
    for name, registers in sorted(taken.items()):
        bound = allowed.get(name)
        if arguments.all:
            print(f"{name:45} {registers:4} of {bound}")
        if bound is None or registers > bound:
            failed += 1
            wanted = "has no SIMT_CONTRACT" if bound is None else f"may take {bound}"
            print(f"{name}: takes {registers} registers, {wanted}", file=sys.stderr)
    print(f"{len(taken)} kernels, the most registers: {max(taken.values())}" + (f"; {failed} fail" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
