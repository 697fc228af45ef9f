#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Two runs of a benchmark side by side, from the JSON that --benchmark_out writes.

  tools/compare_bench.py BEFORE.json AFTER.json [--slower 1.1]

Prints a line for each benchmark of both files: milliseconds before and after, how many times as fast it is now, and the
errors against double where they are reported. Benchmarks of one file alone, and those that were skipped as wrong, are
named. Exit status 1 if one got slower than --slower times before, or wrong; 2 for files that cannot be read.
"""
import argparse
import json
import statistics
import sys

UNITS = {"ns": 1e-6, "us": 1e-3, "ms": 1.0, "s": 1e3}


def read(path):
    """{name: (milliseconds or None where it was wrong, rms or None)}; several repetitions count by their median."""
    try:
        with open(path, encoding="utf-8") as file:
            rows = json.load(file)["benchmarks"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"compare_bench: {path}: {error}", file=sys.stderr)
        sys.exit(2)
    times, rms = {}, {}
    for row in rows:
        if row.get("run_type") == "aggregate":
            continue
        name = row["name"]
        times.setdefault(name, [])
        if row.get("error_occurred"):
            times[name] = None
        elif times[name] is not None:
            times[name].append(row["real_time"] * UNITS[row["time_unit"]])
            rms[name] = row.get("rms")
    return {name: (statistics.median(t) if t else None, rms.get(name)) for name, t in times.items()}


def shown(value, form):
    return format(value, form) if value is not None else "-"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--slower", type=float, default=1.1, help="times as slow that is still no offence (1.1)")
    options = parser.parse_args()
    before, after = read(options.before), read(options.after)
    both = [name for name in before if name in after]
    width = max([len(name) for name in both] + [9])
    bad = False
    print(f"{'benchmark':{width}}  {'before ms':>10}  {'after ms':>10}  {'faster':>7}  {'rms before':>10}  {'rms after':>10}")
    for name in both:
        (old, old_rms), (new, new_rms) = before[name], after[name]
        ratio = old / new if old and new else None
        note = ""
        if new is None:
            note = "  wrong"
        elif ratio is not None and ratio * options.slower < 1:
            note = "  slower"
        bad = bad or bool(note)
        print(f"{name:{width}}  {shown(old, '10.4f'):>10}  {shown(new, '10.4f'):>10}  {shown(ratio, '6.2f') + 'x':>7}  "
              f"{shown(old_rms, '10.1e'):>10}  {shown(new_rms, '10.1e'):>10}{note}")
    for path, mine, other in ((options.before, before, after), (options.after, after, before)):
        for name in mine:
            if name not in other:
                print(f"only in {path}: {name}")
    if not both:
        print("compare_bench: the files have no benchmark in common", file=sys.stderr)
        return 2
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
