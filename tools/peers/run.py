#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Gemel's `cpu` device beside PyTorch, oneDNN, dlib and OpenBLAS on this machine: builds what is missing, runs all of them
in turns, round after round, and reports medians, spread and the share of the multiply-add peak measured in the same run.

  tools/peers/run.py [--rounds 5] [--seconds 0.5] [--build build] [--out out/peers] [--peers gemel,torch] [--only REGEX]

Peers that are not here are named and skipped. Debian 12: apt-get install libdnnl-dev libdlib-dev libopenblas-dev; PyTorch in
a virtual environment that TORCH_PYTHON names (else python3 is asked). CXX names the compiler of the peers (default g++).
Writes table.md, results.json and plot.svg to --out. Exit status 0; 1 if a program failed or a result was wrong."""

import argparse
import datetime
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import plot
from workloads import WORKLOADS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SOURCES = {  # peer: libraries it links, Debian packages that have them
    "onednn": (["-ldnnl"], "libdnnl-dev"),
    "dlib": (["-ldlib", "-lopenblas", "-llapack"], "libdlib-dev libopenblas-dev"),
    "openblas": (["-lopenblas"], "libopenblas-dev"),
}
NAMES = ["gemel", "torch", *SOURCES]


class Missing(Exception):
    """A peer that cannot run here, and why."""


def say(*words):
    print(*words, file=sys.stderr, flush=True)


# ---- what runs a peer: a command to which seconds and workloads are added
def build_gemel(build):
    if not (build / "CMakeCache.txt").exists():
        run_or_exit(["cmake", "-S", ROOT, "-B", build, "-DCMAKE_BUILD_TYPE=Release", "-DGEMEL_CUDA=OFF"])
    say("building step_bench")
    run_or_exit(["cmake", "--build", build, "--target", "step_bench"])
    return [build / "bench" / "step_bench"]


def run_or_exit(command):
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode != 0:
        sys.exit("run.py: failed: " + " ".join(map(str, command)))


def find_torch(try_compile):
    python = os.environ.get("TORCH_PYTHON", "python3")
    if shutil.which(python) is None:
        raise Missing(f"no {python}; TORCH_PYTHON names a Python that has PyTorch")
    if subprocess.run([python, "-c", "import torch"], capture_output=True, check=False).returncode != 0:
        raise Missing(f"{python} has no PyTorch; TORCH_PYTHON names a Python that has")
    return [python, HERE / "torch_peer.py"] + (["--compile"] if try_compile else [])


def build_peer(name, out):
    program, source = out / f"{name}_peer", HERE / f"{name}_peer.cpp"
    if program.exists() and program.stat().st_mtime > max(f.stat().st_mtime for f in (*HERE.glob("*.h"), ROOT / "bench" / "spot_check.h", source)):
        return [program]
    libraries, packages = SOURCES[name]
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        raise Missing(f"no compiler {compiler}; CXX names another")
    command = [compiler, "-std=c++20", "-O3", "-march=native", "-fopenmp", f"-I{ROOT}", source, "-o", program, *libraries]
    say(f"building {program.name}")
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode != 0:
        reason = next((line for line in built.stderr.splitlines() if "error" in line or "cannot find" in line), "")
        raise Missing(f"does not build ({reason.split('/')[-1]}); Debian 12: {packages}")
    return [program]


# ---- one peer, once: {"version": ..., "results": [{"name", "seconds" or "problem", ...}]}
def measure(name, command, arguments, names):
    threads = str(arguments.threads)
    environment = os.environ | {
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "GEMEL_THREADS": threads,
        "GEMEL_BENCH_DEVICE": "cpu",
        "GEMEL_BENCH_SECONDS": str(arguments.seconds),
    }
    if name == "gemel":
        command = [*command, "--benchmark_format=json", f"--benchmark_filter=^({'|'.join(names)})/"]
    else:
        command = [*command, str(arguments.seconds), *names]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{name}: exit status {done.returncode}")
    answer = json.loads(done.stdout)
    return from_google_benchmark(answer) if name == "gemel" else answer


def from_google_benchmark(answer):
    """Names lose their suffix "/iterations:1/manual_time"; times are milliseconds."""
    results = []
    for row in answer["benchmarks"]:
        result = {"name": row["name"].split("/iterations:")[0]}
        if row.get("error_occurred"):
            result["problem"] = row["error_message"]
        else:
            result["seconds"] = 1e-3 * row["real_time"]
        results.append(result)
    context = answer["context"]
    return {
        "version": "Gemel",
        "device": context["device"],
        "peak_gflops": float(context["peak_gflops"]),
        "results": results,
    }


# ---- all rounds -> the report
def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def summarise(workload, seconds, peak_gflops):
    """Median and range of one peer over the rounds."""
    figures = sorted(map(workload.figure, seconds))
    shares = sorted(1e-9 * workload.flops / s / peak_gflops for s in seconds)
    middle = statistics.median(seconds)
    return {
        "figure": workload.figure(middle),
        "min": figures[0],
        "max": figures[-1],
        "share": 1e-9 * workload.flops / middle / peak_gflops,
        "share_min": shares[0],
        "share_max": shares[-1],
        "text": f"{number(workload.figure(middle))} {workload.unit}",
        "seconds": seconds,
    }


def table(results):
    peers = [peer["name"] for peer in results["peers"]]
    lines = [
        "| median (min - max), share of peak | " + " | ".join(p["version"] for p in results["peers"]) + " |",
        "|---" * (len(peers) + 1) + "|",
    ]
    for row in results["workloads"]:
        cells = []
        for peer in peers:
            figure = row["peers"].get(peer)
            cells.append(
                "-"
                if figure is None
                else f"{number(figure['figure'])} ({number(figure['min'])} - "
                f"{number(figure['max'])}), {100 * figure['share']:.0f} %"
            )
        lines.append(f"| {row['title']}, {row['unit']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def output_of(*command):
    if shutil.which(command[0]) is None:
        return "unknown"
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def machine(arguments):
    cpu = (
        re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
        if Path("/proc/cpuinfo").exists()
        else None
    )
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": cpu.group(1) if cpu else platform.processor(),
        "threads": arguments.threads,
        "system": platform.platform(),
        "compiler": output_of(os.environ.get("CXX", "g++"), "--version").splitlines()[0],
        "commit": output_of("git", "rev-parse", "--short", "HEAD"),
        "load_at_start": os.getloadavg()[0],
        "seconds": arguments.seconds,
    }


def prepare(arguments, out):
    commands, skipped = {}, {}
    makers = {
        "gemel": lambda: build_gemel(Path(arguments.build).resolve()),
        "torch": lambda: find_torch(arguments.torch_compile),
    }
    for name in NAMES:
        if name not in arguments.peers.split(","):
            continue
        try:
            commands[name] = makers.get(name, lambda name=name: build_peer(name, out))()
        except Missing as reason:
            skipped[name] = str(reason)
            say(f"skipped: {name}: {reason}")
    return commands, skipped


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each workload of each peer in each round")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--build", default=str(ROOT / "build"), help="Gemel's build folder; made if it is not there")
    parser.add_argument("--out", default=str(ROOT / "out" / "peers"))
    parser.add_argument("--peers", default=",".join(NAMES), help="some of " + ",".join(NAMES))
    parser.add_argument("--only", default="", help="only workloads whose name fits this regular expression")
    parser.add_argument("--torch-compile", action="store_true", help="try torch.compile as well: minutes more")
    arguments = parser.parse_args()
    unknown = set(arguments.peers.split(",")) - set(NAMES)
    if unknown or "gemel" not in arguments.peers.split(","):
        parser.error(
            f"--peers {arguments.peers}: some of {','.join(NAMES)}, gemel (which measures the peak) among them"
        )
    if arguments.rounds < 1 or not arguments.seconds > 0:
        parser.error("--rounds and --seconds must be positive")
    return arguments


class Run:
    """What all rounds have measured so far."""

    def __init__(self, description, skipped):
        self.description, self.skipped = description, skipped
        self.seconds, self.versions, self.configurations = {}, {}, {}
        self.peaks, self.problems = [], []

    def problem(self, text):
        self.problems.append(text)
        say("WRONG or failed: " + text)

    def add(self, name, answer):
        self.versions[name] = answer["version"]
        if name == "gemel":
            self.peaks.append(answer["peak_gflops"])
            self.description["device"] = answer["device"]
        for row in answer["results"]:
            if "problem" in row:
                self.problem(f"{name}: {row['name']}: {row['problem']}")
                continue
            self.seconds.setdefault((name, row["name"]), []).append(row["seconds"])
            if "configuration" in row:
                self.configurations.setdefault(f"{name} {row['name']}", []).append(row["configuration"])

    def results(self, workloads):
        # The best round's: a share must not look better because the machine was busy when the peak was measured.
        peak = max(self.peaks)

        def peers(w):
            found = [name for name in self.versions if (name, w.name) in self.seconds]
            return {name: summarise(w, self.seconds[name, w.name], peak) for name in found}

        return self.description | {
            "peak_gflops": peak,
            "peaks_by_round": self.peaks,
            "skipped": self.skipped,
            "problems": self.problems,
            "configurations": self.configurations,
            "peers": [{"name": name, "version": version} for name, version in self.versions.items()],
            "workloads": [
                {"name": w.name, "title": w.title, "unit": w.unit, "flops": w.flops, "peers": peers(w)}
                for w in workloads
            ],
        }


def write(out, results):
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (out / "table.md").write_text(table(results), encoding="utf-8")
    (out / "plot.svg").write_text(plot.svg(results), encoding="utf-8")


def print_report(results):
    peaks = results["peaks_by_round"]
    print(
        f"{results['processor']}, {results['threads']} threads; peak {max(peaks):.0f} GFLOP/s "
        f"(rounds {min(peaks):.0f} - {max(peaks):.0f}); load {results['load_at_start']:.1f} at the start; "
        f"{results['compiler']}; commit {results['commit']}\n"
    )
    print(table(results))
    for name, reason in results["skipped"].items():
        print(f"skipped: {name}: {reason}")
    for problem in results["problems"]:
        print(f"WRONG or failed: {problem}")


def main():
    arguments = parse()
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    workloads = [w for w in WORKLOADS if re.search(arguments.only, w.name)]
    if not workloads:
        sys.exit(f"run.py: --only '{arguments.only}' fits no workload")
    description = machine(arguments)
    commands, skipped = prepare(arguments, out)
    run = Run(description, skipped)
    for round_number in range(1, arguments.rounds + 1):
        for name, command in list(commands.items()):
            say(f"round {round_number} of {arguments.rounds}: {name}")
            try:
                run.add(name, measure(name, command, arguments, [w.name for w in workloads]))
            except (RuntimeError, OSError, ValueError) as error:
                run.problem(f"{name}: {error}")
                if name == "gemel":
                    sys.exit("run.py: without Gemel there is no peak to compare with")
                del commands[name]
        write(out, run.results(workloads))  # after each round: a long run that is stopped leaves its figures
    print_report(run.results(workloads))
    return 1 if run.problems else 0


if __name__ == "__main__":
    sys.exit(main())
