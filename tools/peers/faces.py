#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""dlib's own way from photographs to descriptors beside Gemel's: the same faces, how far boxes, scores, landmarks and
descriptors are from each other, and, with --bench, how long each stage takes, in turns on the same machine.

  tools/peers/faces.py MODELS FOLDER [--model faces.safetensors] [--bench SECONDS] [--rounds 3] [--build build] [--out out/peers]

MODELS has the three .dat files that tools/get_face_model.sh fetches (GEMEL_FACES of tools/test.sh), FOLDER photographs, in
any depth. Without --model the .dat files are imported first. Debian 12: apt-get install libdlib-dev libopenblas-dev.
Prints a table; writes faces.json to --out. Exit status 0, 1 where a face is missing or differs by more than 2 pixels,
0.01 of a score or 0.02 of a descriptor, 2 where something cannot run."""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ENDINGS = {".png", ".jpg", ".jpeg", ".bmp"}
PIXELS, SCORE, DESCRIPTOR = 2, 0.01, 0.02  # the largest differences that are none
STAGES = ["detect", "landmarks_and_chip", "embed/1", "embed/64"]


def fail(text):
    print(f"faces.py: {text}", file=sys.stderr)
    raise SystemExit(2)


def run(command, **environment):
    environment = os.environ | {key: str(value) for key, value in environment.items()}
    done = subprocess.run([str(word) for word in command], env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        fail(f"{Path(command[0]).name}: {(done.stderr.strip() or 'failed').splitlines()[-1]}")
    return done.stdout


def build_dlib(out):
    program, source = out / "dlib_faces", HERE / "dlib_faces.cpp"
    if program.exists() and program.stat().st_mtime > max(f.stat().st_mtime for f in (source, HERE / "peer.h")):
        return program
    print("building dlib_faces, a minute or two", file=sys.stderr, flush=True)
    libraries = ["-ldlib", "-lopenblas", "-llapack"]
    compiler = os.environ.get("CXX", "g++")
    command = [compiler, "-std=c++20", "-O3", "-march=native", "-fopenmp", f"-I{ROOT}", source, "-o", program, *libraries]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode != 0:
        reason = next((line for line in built.stderr.splitlines() if "error" in line or "cannot find" in line), "")
        fail(f"dlib_faces does not build ({reason.strip()}); Debian 12: apt-get install libdlib-dev libopenblas-dev")
    return program


# ---- both answers as {file: [face]}, a face being {"box", "score", "landmarks", "descriptor"}
def by_dlib(answer):
    return {picture["file"]: picture["faces"] for picture in answer["pictures"]}


def by_gemel(rows, files):
    faces = {file: [] for file in files}
    for row in rows:
        face = row["face"]
        if face is None:
            continue
        faces[row["file"]].append(
            {
                "box": [face[edge] for edge in ("left", "top", "right", "bottom")],
                "score": face["score"],
                "landmarks": face["landmarks"],
                "descriptor": row["embedding"],
            }
        )
    return faces


def overlap(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    if width <= 0 or height <= 0:
        return 0
    areas = sum((box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b))
    return width * height / (areas - width * height)


def compare(dlib_faces, gemel_faces):
    """Each of dlib's faces with the one of ours that covers it best -> rows of differences, and how many have no partner."""
    rows, left = [], list(gemel_faces)
    for want in dlib_faces:
        partner = max(left, key=lambda face: overlap(face["box"], want["box"]), default=None)
        if partner is None or overlap(partner["box"], want["box"]) < 0.5:
            continue
        left.remove(partner)
        rows.append(
            {
                "box": max(abs(a - b) for a, b in zip(partner["box"], want["box"])),
                "score": abs(partner["score"] - want["score"]),
                "landmarks": max(math.dist(a, b) for a, b in zip(partner["landmarks"], want["landmarks"])),
                "descriptor": math.dist(partner["descriptor"], want["descriptor"]),
            }
        )
    return rows, len(dlib_faces) - len(rows), len(left)


def is_close(row):
    return (
        row["box"] <= PIXELS
        and row["landmarks"] <= PIXELS
        and row["score"] <= SCORE
        and row["descriptor"] <= DESCRIPTOR
    )


def print_differences(pictures):
    print(f"{'picture':32} {'faces':>5} {'box px':>7} {'score':>9} {'landmark px':>11} {'descriptor':>10}")
    for picture in pictures:
        rows = picture["faces"]
        worst = {key: max((row[key] for row in rows), default=0) for key in ("box", "score", "landmarks", "descriptor")}
        note = ""
        if picture["only_dlib"] or picture["only_gemel"]:
            note = f"  only dlib finds {picture['only_dlib']}, only gemel {picture['only_gemel']}"
        print(
            f"{Path(picture['file']).name[-32:]:32} {len(rows):5} {worst['box']:7.2g} {worst['score']:9.1e} "
            f"{worst['landmarks']:11.2g} {worst['descriptor']:10.1e}{note}"
        )


# ---- speed
def bench(arguments, dlib, model, picture):
    seconds = {stage: {"dlib": [], "gemel": []} for stage in STAGES}
    program = Path(arguments.build) / "bench" / "faces_bench"
    if not program.exists():
        fail(f"{program} is not built; cmake --build {arguments.build} --target faces_bench")
    threads = len(os.sched_getaffinity(0))
    limits = {name: threads for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "GEMEL_THREADS")}
    for number in range(1, arguments.rounds + 1):
        print(f"round {number} of {arguments.rounds}", file=sys.stderr, flush=True)
        for row in json.loads(run([dlib, arguments.models, "--bench", arguments.bench, picture], **limits))["results"]:
            seconds[row["name"]]["dlib"].append(row["seconds"])
        answer = run(
            [program, "--benchmark_format=json"],
            GEMEL_BENCH_MODEL=model,
            GEMEL_BENCH_PICTURE=picture,
            GEMEL_BENCH_DEVICE="cpu",
            GEMEL_BENCH_SECONDS=arguments.bench,
            **limits,
        )
        for row in json.loads(answer)["benchmarks"]:
            seconds[row["name"].split("/iterations:")[0]]["gemel"].append(1e-3 * row["real_time"])
    print(f"\n{Path(picture).name}, {threads} threads, median of {arguments.rounds} rounds: ms, dlib's share of ours")
    for stage, both in seconds.items():
        theirs, ours = statistics.median(both["dlib"]), statistics.median(both["gemel"])
        print(f"{stage:20} gemel {1e3 * ours:9.2f}   dlib {1e3 * theirs:9.2f}   {theirs / ours:5.1f} x")
    return seconds


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--bench", type=float, default=0, help="seconds for each stage")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--build", default=str(ROOT / "build"))
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "peers")
    arguments = parser.parse_args()
    if arguments.bench < 0 or arguments.rounds < 1:
        parser.error("--bench must not be negative, --rounds positive")
    return arguments


def main():
    arguments = parse()
    gemel = Path(arguments.build) / "gemel"
    if not gemel.exists():
        fail(f"{gemel} is not built")
    files = sorted(str(f) for f in arguments.folder.rglob("*") if f.suffix.lower() in ENDINGS)
    if not files:
        fail(f"{arguments.folder}: no photographs in it")
    arguments.out.mkdir(parents=True, exist_ok=True)
    dlib = build_dlib(arguments.out)
    model = arguments.model
    if model is None:
        model = arguments.out / "faces.safetensors"
        run([gemel, "import", arguments.models, "-o", model])

    theirs = by_dlib(json.loads(run([dlib, arguments.models, *files])))
    ours = by_gemel(json.loads(run([gemel, "embed", model, *files, "--json", "--device", "cpu"])), files)
    pictures = []
    for file in files:
        rows, only_dlib, only_gemel = compare(theirs[file], ours[file])
        pictures.append({"file": file, "faces": rows, "only_dlib": only_dlib, "only_gemel": only_gemel})
    print_differences(pictures)
    result = {"pictures": pictures}
    shown = next((picture["file"] for picture in pictures if picture["faces"]), None)
    if arguments.bench > 0 and shown is not None:
        result["seconds"] = bench(arguments, dlib, model, shown)
    (arguments.out / "faces.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    same = all(p["only_dlib"] == 0 and p["only_gemel"] == 0 and all(map(is_close, p["faces"])) for p in pictures)
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
