#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""PyTorch on the CPU: the same workloads as the other peers (bench/workloads.h), in its best configuration: each network
is timed with NCHW and with channels-last tensors and the better of the two counts; Adam is fused; inference runs in
inference mode. --compile tries torch.compile beside them.

  torch_peer.py [--compile] SECONDS [WORKLOAD...]        threads: OMP_NUM_THREADS"""

import argparse
import json
import math
import os
import time

import torch
import torch.nn.functional as F
from torch import nn

FORMATS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}


def seconds_per_call(at_least, call, batches=9):
    """The median of nine batches of calls that take about `at_least` together, as in peer.h and bench/measure.cpp."""

    def timed(calls):
        start = time.perf_counter()
        for _ in range(calls):
            call()
        return time.perf_counter() - start

    timed(1)
    calls = 1
    seconds = timed(calls)
    while seconds < at_least / batches and calls < 1 << 20:
        wanted = 1.2 * calls * at_least / batches / max(seconds, 1e-9)
        calls = int(min(max(wanted, 2 * calls), 10 * calls))
        seconds = timed(calls)
    times = [seconds]
    while len(times) < (3 if seconds > at_least else batches):
        times.append(timed(calls))
    return sorted(times)[len(times) // 2] / calls


# ---- networks and losses
def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 20, 5),
        nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 5),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(800, 500),
        nn.ReLU(),
        nn.Linear(500, 128),
    )


class Normalize(nn.Module):
    def forward(self, x):
        return F.normalize(x)


def small():
    layers = []
    for c, k, pool in [(1, 32, False), (32, 32, True), (32, 64, False), (64, 64, True)]:
        layers += [nn.Conv2d(c, k, 3, padding=1), nn.ReLU(inplace=True)] + ([nn.MaxPool2d(2)] if pool else [])
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(3136, 128), Normalize())


def stack():
    layers = []
    for _ in range(8):
        layers += [nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def contrastive(e, same, margin=1.0):
    """Rows i and i + n/2 are a pair (Hadsell, Chopra, LeCun 2006)."""
    a, b = e.chunk(2)
    d2 = (a - b).pow(2).sum(1)
    gap = F.relu(margin - d2.clamp_min(1e-12).sqrt())
    return torch.where(same, d2, gap.pow(2)).mean() / 2


def all_distances(e):
    gram = e @ e.t()
    norms = gram.diagonal()
    return (norms[:, None] + norms[None] - 2 * gram).clamp_min(1e-12).sqrt()


def batch_hard(e, same, margin=0.2):
    """Farthest positive and nearest negative of each row (Hermans, Beyer, Leibe 2017, eq. 5)."""
    d = all_distances(e)
    positive = d.masked_fill(~same, 0).amax(1)
    negative = d.masked_fill(same, math.inf).amin(1)
    return F.relu(positive - negative + margin).mean()


def contrastive_all(e, same, margin=1.0):
    """Row i's mean over all other rows, then the mean over rows."""
    d = all_distances(e)
    loss = torch.where(same, d.pow(2), F.relu(margin - d).pow(2)) / 2
    n = len(e)
    return (loss.sum() - loss.diagonal().sum()) / (n * (n - 1))


# ---- workloads: each yields (configuration, problem, call)
class Peer:
    def __init__(self, try_compile):
        self.configurations = [(name, memory, False) for name, memory in FORMATS.items()]
        if try_compile:
            self.configurations += [(name + " compiled", memory, True) for name, memory in FORMATS.items()]

    def network(self, build, memory, compiled):
        torch.manual_seed(0)
        net = build().to(memory_format=memory)
        return net, torch.compile(net) if compiled else net

    def train(self, build, loss):
        for name, memory, compiled in self.configurations:
            net, forward = self.network(build, memory, compiled)
            optimizer = torch.optim.Adam(net.parameters(), lr=1e-4, fused=True)
            batches = [torch.randn(128, 1, 28, 28).to(memory_format=memory) for _ in range(4)]
            done = 0

            def step():
                nonlocal done
                optimizer.zero_grad(set_to_none=True)
                value = loss(forward(batches[done % len(batches)]))
                value.backward()
                optimizer.step()
                done += 1
                return value

            losses = [float(step().detach()) for _ in range(12)]  # three times over the four batches
            first, last = sum(losses[:4]) / 4, sum(losses[8:]) / 4
            yield name, "" if last < first else f"the loss does not fall: {first}, then {last}", step

    def embed(self, build, n):
        for name, memory, compiled in self.configurations:
            net, forward = self.network(build, memory, compiled)
            net.eval()
            x = torch.randn(n, 1, 28, 28).to(memory_format=memory)

            def call():
                with torch.inference_mode():
                    return forward(x)

            yield name, finite(call()), call

    def stack(self):
        for name, memory, compiled in self.configurations:
            net, forward = self.network(stack, memory, compiled)
            x = torch.randn(64, 64, 14, 14).to(memory_format=memory)
            dy = torch.randn(64, 64, 14, 14).to(memory_format=memory)

            def call():
                net.zero_grad(set_to_none=True)
                y = forward(x)
                y.backward(dy)
                return y

            yield name, finite(call()), call


def finite(values):
    return "" if bool(torch.isfinite(values).all()) else "the output is not finite"


def pairwise():
    a, b = torch.randn(4096, 128), torch.randn(4096, 128)
    rows = slice(0, 4096, 517)
    want = (a[rows, None].double() - b[None, rows].double()).pow(2).sum(2).sqrt()
    error = float((torch.cdist(a, b)[rows, rows] - want).abs().max())
    yield "cdist", "" if error <= 1e-3 else f"off by {error}", lambda: torch.cdist(a, b)


def pairs_of_all():
    """The loss and its gradient by autograd, on a small batch against plain loops first."""
    # Distances around the margin: half of the pairs of different identities have a loss.
    e, labels = torch.randn(4096, 128) / 16, torch.arange(4096) // 8
    few, n = e[:24].double(), 24
    want = sum(
        float(d) ** 2 / 2 if labels[i] == labels[j] else max(0.0, 1 - float(d)) ** 2 / 2
        for i in range(n)
        for j in range(n)
        if i != j
        for d in [(few[i] - few[j]).norm()]
    )
    got = float(contrastive_all(e[:24], labels[:24, None] == labels[None, :24]))
    error = abs(got - want / (n * (n - 1)))
    same = labels[:, None] == labels[None]
    e.requires_grad_()

    def call():
        e.grad = None
        contrastive_all(e, same).backward()

    yield "autograd", "" if error <= 1e-5 else f"off by {error}", call


def product():
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    rows = slice(0, 2048, 259)
    error = float((F.linear(a, b)[rows, rows] - a[rows].double() @ b[rows].double().t()).abs().max())
    yield "mkl", "" if error <= 5e-3 else f"off by {error}", lambda: F.linear(a, b)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compile", action="store_true", help="try torch.compile as well")
    parser.add_argument("seconds", type=float)
    parser.add_argument("workloads", nargs="*")
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count())))
    peer = Peer(arguments.compile)
    pairs = torch.arange(64) % 2 == 0
    identities = torch.arange(128) // 16
    groups = identities[:, None] == identities[None]
    workloads = {
        "train/lenet/128": lambda: peer.train(lenet, lambda e: contrastive(e, pairs)),
        "train/small/128": lambda: peer.train(small, lambda e: batch_hard(e, groups)),
        "embed/lenet/64": lambda: peer.embed(lenet, 64),
        "embed/lenet/1": lambda: peer.embed(lenet, 1),
        "embed/small/64": lambda: peer.embed(small, 64),
        "embed/small/1": lambda: peer.embed(small, 1),
        "stack3x3/64": peer.stack,
        "pairwise/4096x4096x128": pairwise,
        "contrastive_all/4096x128": pairs_of_all,
        "sgemm/2048": product,
    }
    results = []
    for name, configurations in workloads.items():
        if arguments.workloads and name not in arguments.workloads:
            continue
        timed, problems = {}, []
        for configuration, problem, call in configurations():
            if problem:
                problems.append(f"{configuration}: {problem}")
            else:
                timed[configuration] = seconds_per_call(arguments.seconds, call)
        if problems or not timed:
            results.append({"name": name, "problem": "; ".join(problems)})
        else:
            best = min(timed, key=timed.get)
            results.append({"name": name, "seconds": timed[best], "configuration": best})
    print(json.dumps({"version": f"PyTorch {torch.__version__}", "results": results}, indent=1))


if __name__ == "__main__":
    main()
