#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reproduces the results of docs/results/recognition.md: trains with three seeds, tests on identities (or pictures) never
trained on, prints mean and spread.

    tools/results/run.py orl       DATA/orl_faces     train s1..s35, all pairs of s36..s40 (Chopra, Hadsell, LeCun 2005)
    tools/results/run.py orl-folds DATA/orl_faces     s1..s35 in five folds: train on 28 people, all pairs of the other 7
    tools/results/run.py orl-faces DATA/orl_faces     the same people with the imported face model (--model): as it is, and
                                                      trained further on s1..s35 with all but the last layer frozen
    tools/results/run.py omniglot  DATA/omniglot      train images_background_small1, 20-way one-shot validation_runs
    tools/results/run.py fashion   [idx:DIR]          train, verify the test half's pictures
    tools/results/run.py unseen    [idx:DIR]          train on five classes, test on the other five

Options: --seeds 1,2,3  --model faces.safetensors  --device cpu  --gemel build/gemel  --out out/results  --json FILE. Each experiment's flags stand in
EXPERIMENTS below; the commands are printed as they are run.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FASHION = "idx:/usr/share/datasets/fashion-mnist"

# What `gemel train` is given besides data, output, seed and device.
EXPERIMENTS = {
    # All pairs of a batch; moved, turned and noisy pictures in their own light, which tells people of this set apart.
    "orl": f"--net {HERE}/orl.net --channels 1 --loss contrastive-all --p 14 --k 5 --steps 300"
    " --rotate 15 --scale 0.8:1.2 --shift 5 --noise 0.1",
    # Few numbers to train, on embeddings that know faces: small steps.
    "orl-faces": "--min-face 40 --freeze -1 --loss contrastive-all --margin 0.9 --p 35 --k 4 --steps 100 --lr 0.0003"
    " --flip 0.5",
    "omniglot": f"--net {HERE}/omniglot.net --channels 1 --loss nt-xent --p 64 --k 2 --steps 1500 --lr 0.002"
    " --weight-decay 0.01 --quarter-turns --augment koch --rotate 15 --shift 3",
    "fashion": "--net small --loss triplet --p 10 --k 12 --steps 1400 --lr 0.002",
    "unseen": "--net small --loss triplet --p 5 --k 24 --steps 700 --lr 0.002 --augment light",
}


def fail(text):
    print(f"run.py: {text}", file=sys.stderr)
    sys.exit(2)


def run(command):
    """Runs a command, shows it, returns its output. A failure ends the program with the command's own message."""
    print("$", *command, flush=True)
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 1):
        fail(f"that command failed with status {done.returncode}")
    return done.stdout


def people(folder, numbers, target):
    """A folder with links to the grey photographs of those people, s<number>."""
    for number in numbers:
        source = folder / f"s{number}"
        if not source.is_dir():
            fail(f"{source}: no such folder; it wants the ORL (AT&T) faces, s1 to s40")
        person = target / f"s{number}"
        person.mkdir(parents=True, exist_ok=True)
        for picture in sorted(source.glob("*.pgm")):
            link = person / picture.name
            if not link.exists():
                link.symlink_to(picture.resolve())
    return target


class Bench:
    """One experiment: where it trains and what it measures."""

    def __init__(self, options):
        self.options = options
        self.out = pathlib.Path(options.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.figures = {}

    def gemel(self, command, *arguments):
        return run([self.options.gemel, command, *arguments, "--device", self.options.device])

    def train(self, data, seed, *arguments):
        model = self.out / f"{self.options.experiment}-{seed}.safetensors"
        name = self.options.experiment
        flags = EXPERIMENTS[name if name in EXPERIMENTS else name.split("-")[0]].split()
        summary = json.loads(self.gemel("train", data, *flags, *arguments, "--seed", seed, "-o", model, "--json"))
        self.note("training seconds", summary["seconds"])
        return model

    def note(self, name, value):
        self.figures.setdefault(name, []).append(value)

    def verification(self, model, data, *arguments, what=""):
        found = json.loads(self.gemel("eval", model, data, *arguments, "--json"))
        self.note(what + "AUC", found["auc"])
        self.note(what + "EER %", 100 * found["eer"])
        self.note(what + "TAR at FAR 1 %, %", 100 * found["tar_at_far_1e-2"])
        self.note(what + "recall@1 %", 100 * found["recall_at_1"])


def orl(bench, folder):
    training = people(folder, range(1, 36), bench.out / "orl_train")
    test = people(folder, range(36, 41), bench.out / "orl_test")
    for seed in bench.options.seeds:
        # --val: every person is trained on, the threshold is calibrated on them and not used here.
        bench.verification(bench.train(training, seed, "--val", training), test)


def orl_folds(bench, folder):
    for first in range(1, 36, 7):
        held = range(first, first + 7)
        training = people(folder, [n for n in range(1, 36) if n not in held], bench.out / f"orl_without_{first}")
        test = people(folder, held, bench.out / f"orl_from_{first}")
        for seed in bench.options.seeds:
            bench.verification(bench.train(training, seed, "--val", training), test)


def orl_faces(bench, folder):
    model = bench.options.model
    if not model:
        fail("orl-faces wants --model, the imported face model: tools/get_face_model.sh faces.safetensors")
    training = people(folder, range(1, 36), bench.out / "orl_train")
    test = people(folder, range(36, 41), bench.out / "orl_test")
    looking = ("--min-face", "40")  # these pictures are 92 x 112
    bench.verification(model, test, *looking, what="imported: ")
    for seed in bench.options.seeds:
        own = bench.train(training, seed, "--from", model, "--val", training)
        bench.verification(own, test, *looking, what="trained further: ")


def omniglot(bench, folder):
    for seed in bench.options.seeds:
        training = folder / "images_background_small1"
        model = bench.train(training, seed, "--val", training)
        found = json.loads(bench.gemel("oneshot", model, folder / "validation_runs", "--json"))
        bench.note("20-way one-shot %", 100 * found["accuracy"])


def fashion(bench, source):
    for seed in bench.options.seeds:
        bench.verification(bench.train(source, seed), f"{source}:test")


def unseen(bench, source):
    seen, others = "0,2,4,6,8", "1,3,5,7,9"
    for seed in bench.options.seeds:
        model = bench.train(source, seed, "--identities", seen)
        bench.verification(model, f"{source}:test", "--identities", others)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=[*EXPERIMENTS, "orl-folds"])
    parser.add_argument("data", nargs="?")
    parser.add_argument("--seeds", default="1,2,3", type=lambda text: [int(word) for word in text.split(",")])
    parser.add_argument("--model", help="orl-faces: what tools/get_face_model.sh made")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--gemel", default=ROOT / "build" / "gemel")
    parser.add_argument("--out", default=ROOT / "out" / "results")
    parser.add_argument("--json", help="the figures of every seed, for machines")
    options = parser.parse_args()
    if not os.access(options.gemel, os.X_OK):
        fail(f"{options.gemel} is missing; build it with tools/demo.sh or tools/test.sh, or name it with --gemel")
    data = options.data or (FASHION if options.experiment in ("fashion", "unseen") else None)
    if data is None:
        fail(f"{options.experiment} wants its data's folder")
    bench = Bench(options)
    if options.experiment not in ("fashion", "unseen"):
        data = pathlib.Path(data)
    globals()[options.experiment.replace("-", "_")](bench, data)

    print(f"\n{options.experiment}, seeds {', '.join(map(str, options.seeds))}")
    print("| | mean | spread (standard deviation) | each |\n|---|---|---|---|")
    for name, values in bench.figures.items():
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        each = ", ".join(f"{value:.4g}" for value in values)
        print(f"| {name} | {statistics.mean(values):.4g} | {spread:.2g} | {each} |")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(bench.figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
