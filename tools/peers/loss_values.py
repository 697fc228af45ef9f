#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every loss and its gradients in PyTorch, double precision, written from the papers' formulas (siamese/loss.h names them),
as plain loops over rows, pairs and triplets: numbers that do not come from this project. tests/siamese/loss_values_test.cpp
compares them with what each device computes from the same inputs.

  loss_values.py [OUTPUT]        default: tests/siamese/loss_values.json"""

import json
import math
import pathlib
import sys

import torch
import torch.nn.functional as F

ROWS, COLUMNS, CLASSES = 12, 5, 4
LABELS = [0, 1, 2, 3, 0, 0, 2, 2, 1, 3, 1, 0]


# ---- inputs: multiples of 1/256, exact in every format; none is 0
def embeddings():
    return [
        [((7 * i + 13 * k + 3 * i * k) % 17 - 8.5) / 8 + (i * i + 5 * k) / 256 for k in range(COLUMNS)]
        for i in range(ROWS)
    ]


PARAMETERS = {
    "head.weight": [[((5 * c + 11 * k + 2 * c * k) % 13 - 6.5) / 8 for k in range(COLUMNS)] for c in range(CLASSES)],
    "head.bias": [(c - 1.5) / 4 for c in range(CLASSES)],
    "metric.weight": [(2 * k - 3) / 8 for k in range(COLUMNS)],
    "metric.threshold": [0.5],
}


# ---- who is like whom
def positives(i):
    return [j for j in range(ROWS) if j != i and LABELS[j] == LABELS[i]]


def negatives(i):
    return [j for j in range(ROWS) if LABELS[j] != LABELS[i]]


def mean(values):
    return sum(values) / len(values)


def squared(a, b):
    return ((a - b) ** 2).sum()


# ---- losses on pairs: rows i and i + N
def pairs():
    return [(i, i + ROWS // 2) for i in range(ROWS // 2)]


def hadsell(a, b, same, margin):
    d = squared(a, b).sqrt()
    return d**2 / 2 if same else F.relu(margin - d) ** 2 / 2


def caffe_legacy(a, b, same, margin):
    d2 = squared(a, b)
    return d2 / 2 if same else F.relu(margin - d2) / 2


def contrastive(e, _, term, margin):
    return mean([term(e[i], e[j], LABELS[i] == LABELS[j], margin) for i, j in pairs()])


def contrastive_all(e, _, margin):
    couples = [(i, j) for i in range(ROWS) for j in range(ROWS) if i != j]
    return mean([hadsell(e[i], e[j], LABELS[i] == LABELS[j], margin) for i, j in couples])


def weighted(e, parameters, term):
    """Koch et al. 2015, section 3.2: cross-entropy of P(different) = 1 / (1 + exp(threshold - distance))."""
    losses = []
    for i, j in pairs():
        distance = (parameters["metric.weight"] * term(e[i], e[j])).sum()
        different = torch.tensor(float(LABELS[i] != LABELS[j]), dtype=torch.float64)
        losses.append(F.binary_cross_entropy(torch.sigmoid(distance - parameters["metric.threshold"][0]), different))
    return mean(losses)


# ---- losses on P x K rows
def triplet(e, _, mining, margin, square, soft):
    def distance(i, j):
        d2 = squared(e[i], e[j])
        return d2 if square else d2.sqrt()

    def hinge(a, p, n):
        u = distance(a, p) - distance(a, n)
        return F.softplus(u) if soft else F.relu(margin + u)

    losses = []
    for a in range(ROWS):
        mined = negatives(a)
        if mining == "all":
            losses += [hinge(a, p, n) for p in positives(a) for n in mined]
        elif mining == "hard":
            farthest = max(positives(a), key=lambda p: distance(a, p).item())
            nearest = min(mined, key=lambda n: distance(a, n).item())
            losses.append(hinge(a, farthest, nearest))
        else:
            for p in positives(a):
                beyond = [n for n in mined if distance(a, n) > distance(a, p)]
                if beyond:
                    n = min(beyond, key=lambda n: distance(a, n).item())
                else:
                    n = max(mined, key=lambda n: distance(a, n).item())
                losses.append(hinge(a, p, n))
    if mining == "all":
        losses = [loss for loss in losses if loss != 0]  # Hermans et al. 2017: the mean of those that are not 0
    return mean(losses)


def similarities(e, cosine):
    rows = e / e.norm(dim=1, keepdim=True) if cosine else e
    return rows @ rows.T


def nt_xent(e, _, temperature, cosine):
    x = similarities(e, cosine) / temperature
    losses = []
    for i in range(ROWS):
        for p in positives(i):
            others = sum(x[i, n].exp() for n in negatives(i))
            losses.append(-(x[i, p].exp() / (x[i, p].exp() + others)).log())
    return mean(losses)


def supcon(e, _, temperature):
    x = similarities(e, True) / temperature
    losses = []
    for i in range(ROWS):
        total = sum(x[i, a].exp() for a in range(ROWS) if a != i)
        losses.append(mean([-(x[i, p].exp() / total).log() for p in positives(i)]))
    return mean(losses)


def multi_similarity(e, _, alpha=2, beta=50, lam=0.5, epsilon=0.1):
    s = similarities(e, True)
    losses = []
    for i in range(ROWS):
        most = max(s[i, n].item() for n in negatives(i))
        least = min(s[i, p].item() for p in positives(i))
        pull = sum((-alpha * (s[i, p] - lam)).exp() for p in positives(i) if s[i, p] - epsilon < most)
        push = sum((beta * (s[i, n] - lam)).exp() for n in negatives(i) if s[i, n] + epsilon > least)
        zero = torch.zeros((), dtype=torch.float64)
        losses.append((1 + pull + zero).log() / alpha + (1 + push + zero).log() / beta)
    return mean(losses)


# ---- softmax heads
def softmax(e, parameters):
    logits = e @ parameters["head.weight"].T + parameters["head.bias"]
    return F.cross_entropy(logits, torch.tensor(LABELS))


def margin_softmax(e, parameters, scale, margin, angular):
    weight = parameters["head.weight"]
    cosine = (e / e.norm(dim=1, keepdim=True)) @ (weight / weight.norm(dim=1, keepdim=True)).T
    losses = []
    for i in range(ROWS):
        logits = [scale * cosine[i, c] for c in range(CLASSES)]
        own = cosine[i, LABELS[i]]
        if not angular:
            logits[LABELS[i]] = scale * (own - margin)
        elif own.acos() + margin < math.pi:
            logits[LABELS[i]] = scale * (own.acos() + margin).cos()
        else:
            logits[LABELS[i]] = scale * (own - margin * math.sin(margin))
        losses.append(torch.logsumexp(torch.stack(logits), 0) - logits[LABELS[i]])
    return mean(losses)


def l1(a, b):
    return (a - b).abs()


def chi2(a, b):
    return (a - b) ** 2 / (a.abs() + b.abs())


HEAD, METRIC = ["head.weight"], ["metric.weight", "metric.threshold"]
# Name, options as in LossOptions, the function with its arguments, the parameters that it trains.
CASES = [
    ("contrastive", {"margin": 3}, lambda e, p: contrastive(e, p, hadsell, 3), []),
    ("caffe", {"margin": 3.5}, lambda e, p: contrastive(e, p, hadsell, 3.5), []),
    ("caffe-legacy", {"margin": 12}, lambda e, p: contrastive(e, p, caffe_legacy, 12), []),
    ("koch", {}, lambda e, p: weighted(e, p, l1), METRIC),
    ("chi2", {}, lambda e, p: weighted(e, p, chi2), METRIC),
    ("contrastive-all", {"margin": 3}, lambda e, p: contrastive_all(e, p, 3), []),
    ("triplet", {}, lambda e, p: triplet(e, p, "semi-hard", 0.2, True, False), []),
    ("triplet", {"margin": 1, "squared": False}, lambda e, p: triplet(e, p, "semi-hard", 1, False, False), []),
    ("triplet", {"soft": True}, lambda e, p: triplet(e, p, "semi-hard", 0, True, True), []),
    ("batch-hard", {"margin": 1}, lambda e, p: triplet(e, p, "hard", 1, False, False), []),
    ("batch-hard", {"soft": True}, lambda e, p: triplet(e, p, "hard", 0, False, True), []),
    ("batch-all", {"margin": 1}, lambda e, p: triplet(e, p, "all", 1, False, False), []),
    ("batch-all", {"soft": True}, lambda e, p: triplet(e, p, "all", 0, False, True), []),
    ("nt-xent", {}, lambda e, p: nt_xent(e, p, 0.1, True), []),
    ("nt-xent", {"temperature": 0.5}, lambda e, p: nt_xent(e, p, 0.5, True), []),
    ("n-pair", {}, lambda e, p: nt_xent(e, p, 1, False), []),
    ("supcon", {}, lambda e, p: supcon(e, p, 0.1), []),
    ("multi-similarity", {}, multi_similarity, []),
    (
        "multi-similarity",
        {"alpha": 3, "beta": 10, "lambda": 0.25},
        lambda e, p: multi_similarity(e, p, 3, 10, 0.25),
        [],
    ),
    ("softmax", {}, softmax, ["head.weight", "head.bias"]),
    ("arcface", {}, lambda e, p: margin_softmax(e, p, 64, 0.5, True), HEAD),
    ("arcface", {"scale": 4, "margin": 1.25}, lambda e, p: margin_softmax(e, p, 4, 1.25, True), HEAD),
    ("cosface", {}, lambda e, p: margin_softmax(e, p, 64, 0.35, False), HEAD),
]


def digits(values):
    return [float(f"{x:.9g}") for x in values.flatten().tolist()]


def main():
    default = pathlib.Path(__file__).resolve().parents[2] / "tests" / "siamese" / "loss_values.json"
    output = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    cases = []
    for name, options, loss, trained in CASES:
        e = torch.tensor(embeddings(), dtype=torch.float64, requires_grad=True)
        parameters = {
            key: torch.tensor(value, dtype=torch.float64, requires_grad=True) for key, value in PARAMETERS.items()
        }
        value = loss(e, parameters)
        value.backward()
        gradients = {key: digits(parameters[key].grad) for key in trained}
        cases.append(
            {"name": name, "options": options, "loss": digits(value)[0], "de": digits(e.grad), "gradients": gradients}
        )
    lines = ",\n".join("  " + json.dumps(case) for case in cases)
    output.write_text('{"by": "tools/peers/loss_values.py", "cases": [\n' + lines + "\n]}\n")


main()
