#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""PyTorch (cuDNN, cuBLAS) on the same machine, for the cases that `gemel bench` measured, under the same names: convolution
passes and linear layers in float32, TF32 and BF16, distances, losses with their gradients, Adam, and whole training steps,
each as PyTorch runs it by default ("eager"), captured as a CUDA graph, and compiled.

  tools/gpu/peers.py BENCH.json [--json FILE] [--device cuda|cpu] [--gemel build/gemel] [--seconds 0.05] [--no-compile]

BENCH.json is what `gemel bench --json` wrote; cases that have no peer here are passed over. Networks are built from the text that
`gemel info NET --json` prints. --device cpu is a dry run: what it would do, on PyTorch's CPU, no graphs. Exit status 77 where
PyTorch or a GPU is missing. tools/compare_bench puts both files side by side."""

import argparse
import json
import re
import subprocess
import sys
import time

try:
    import torch
    import torch.nn.functional as F
    from torch import nn
except ImportError:
    print("PyTorch not found")
    sys.exit(77)

MATH = {"fp32": (False, torch.float32), "tf32": (True, torch.float32), "bf16": (False, torch.bfloat16)}


# ---- networks: the text of `gemel info` as a module, channels last
class Normalize(nn.Module):
    def forward(self, x):
        return F.normalize(x)


class Residual(nn.Module):
    """The sum of two ways; the narrower one is filled up with channels of zeros."""

    def __init__(self, main, skip):
        super().__init__()
        self.main, self.skip = main, skip

    def forward(self, x):
        main, skip = self.main(x), self.skip(x)
        channels = max(main.shape[1], skip.shape[1])

        def widened(t):
            return F.pad(t, (0, 0, 0, 0, 0, channels - t.shape[1])) if t.shape[1] < channels else t

        return widened(main) + widened(skip)


def option(words, name, default=0):
    return words[words.index(name) + 1] if name in words else default


class Builder:
    """Lines of network text -> modules; follows the size so that `linear` knows its inputs."""

    def __init__(self, text, size=None):
        lines = [line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        own = tuple(map(int, lines[0][1].split("x")))
        self.size = size or own  # H, W, C
        self.lines = lines[1:]
        self.input = self.size
        self.example = torch.zeros(1, self.size[2], *self.size[:2])
        self.module = nn.Sequential(*self.layers())

    def add(self, layers, module):
        layers.append(module)
        with torch.no_grad():
            self.example = module.eval()(self.example)
        module.train()

    def layers(self):
        layers = []
        while self.lines:
            words = self.lines.pop(0)
            if words[0] == "end":
                break
            if words[0] == "residual":
                before = self.example
                skip = nn.AvgPool2d(int(words[2])) if words[1:2] == ["avgpool"] else nn.Identity()
                main = nn.Sequential(*self.layers())
                self.example = before
                self.add(layers, Residual(main, skip))
            else:
                for module in self.modules(words):
                    self.add(layers, module)
        return layers

    def modules(self, words):
        kind, channels = words[0], self.example.shape[1]
        stride = int(option(words, "stride", 1))
        if kind == "conv":
            r, s = map(int, words[2].split("x"))
            pad = option(words, "pad", "0")
            pad = (r // 2, s // 2) if pad == "same" else int(pad)
            yield nn.Conv2d(channels, int(words[1]), (r, s), stride, pad, bias="nobias" not in words)
        elif kind == "maxpool":
            yield nn.MaxPool2d(int(words[1]), int(option(words, "stride", words[1])), ceil_mode="ceil" in words)
        elif kind == "globalavgpool":
            yield nn.AdaptiveAvgPool2d(1)
            yield nn.Flatten()
        elif kind == "linear":
            if self.example.dim() > 2:
                yield nn.Flatten()
            yield nn.Linear(self.example[0].numel(), int(words[1]), bias="nobias" not in words)
        elif kind == "batchnorm":
            yield nn.BatchNorm2d(channels)
        elif kind == "relu":
            yield nn.ReLU(inplace=True)
        elif kind == "sigmoid":
            yield nn.Sigmoid()
        elif kind == "l2normalize":
            yield Normalize()
        else:
            raise ValueError(f"no peer for layer '{' '.join(words)}'")


# ---- losses
def contrastive(e, same, margin=1.0):
    """Rows i and i + n/2 are a pair (Hadsell, Chopra, LeCun 2006)."""
    a, b = e.chunk(2)
    d2 = (a - b).pow(2).sum(1)
    gap = F.relu(margin - d2.clamp_min(1e-12).sqrt())
    return torch.where(same, d2, gap.pow(2)).mean() / 2


def squared_distances(e):
    gram = e @ e.t()
    norms = gram.diagonal()
    return (norms[:, None] + norms[None] - 2 * gram).clamp_min(1e-12)


def contrastive_all(e, same, margin=1.0):
    d2 = squared_distances(e)
    loss = torch.where(same, d2, F.relu(margin - d2.sqrt()).pow(2)) / 2
    return (loss.sum() - loss.diagonal().sum()) / (len(e) * (len(e) - 1))


def semi_hard(e, same, margin=0.2):
    """Each same pair with the nearest negative farther than it, else the farthest (Schroff et al. 2015, sec. 3.2)."""
    d2 = squared_distances(e)
    negatives = d2.masked_fill(same, torch.inf)
    ordered = negatives.sort(1).values
    found = ordered.gather(1, torch.searchsorted(ordered, d2.contiguous(), right=True).clamp_max(len(e) - 1))
    farthest = d2.masked_fill(same, -torch.inf).amax(1, keepdim=True)
    negative = torch.where(found.isinf(), farthest, found)
    wanted = same & ~torch.eye(len(e), dtype=torch.bool, device=e.device)
    return (F.relu(d2 - negative + margin) * wanted).sum() / wanted.sum()


# ---- timing
class Clock:
    def __init__(self, device, seconds):
        self.cuda, self.seconds = device.type == "cuda", seconds

    def batch(self, call, count):
        if not self.cuda:
            start = time.perf_counter()
            for _ in range(count):
                call()
            return time.perf_counter() - start
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        for _ in range(count):
            call()
        end.record()
        end.synchronize()
        return 1e-3 * start.elapsed_time(end)

    def milliseconds(self, call):
        """The median of nine batches of calls, as `gemel bench` takes it."""
        self.batch(call, 2)
        once = max(self.batch(call, 2) / 2, 1e-7)
        count = max(1, int(self.seconds / 9 / once))
        batches = sorted(self.batch(call, count) for _ in range(9 if once < self.seconds else 3))
        return 1e3 * batches[len(batches) // 2] / count


class Peers:
    def __init__(self, arguments):
        self.arguments = arguments
        self.device = torch.device(arguments.device)
        self.clock = Clock(self.device, arguments.seconds)
        self.rows = []

    # Variants of one call: as it is, as a CUDA graph, compiled. `finite`: what must be finite after a call.
    def report(self, name, variant, call, flops=0.0):
        result = call()
        if result is not None and not bool(torch.isfinite(result).all()):
            print(f"{name}  {variant}: WRONG, not finite")
            return
        ms = self.clock.milliseconds(call)
        row = {"name": name, "variant": variant, "ms": ms}
        if flops:
            row["tflops"] = 1e-9 * flops / ms
        self.rows.append(row)
        print(f"{name:58s} {variant:16s} {ms:9.4f} ms" + (f" {row['tflops']:8.2f} TFLOP/s" if flops else ""), flush=True)

    def variants(self, name, call, compiled=None):
        self.report(name, "eager", call)
        if self.device.type == "cuda":
            try:
                side = torch.cuda.Stream()
                side.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(side):
                    for _ in range(3):
                        call()
                torch.cuda.current_stream().wait_stream(side)
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph):
                    call()
                self.report(name, "CUDA graph", lambda: graph.replay())
            except RuntimeError as error:
                print(f"{name}: not captured ({str(error).splitlines()[0]})")
        if compiled is not None and not self.arguments.no_compile:
            try:
                self.report(name, "compiled", compiled)
            except Exception as error:  # the compiler's many
                print(f"{name}: not compiled ({str(error).splitlines()[0][:100]})")

    def random(self, *shape, dtype=torch.float32):
        t = torch.randn(*shape, device=self.device, dtype=dtype)
        return t.to(memory_format=torch.channels_last) if len(shape) == 4 else t

    def with_math(self, name, prepare, flops):
        for math, (tf32, dtype) in MATH.items():
            if self.device.type != "cuda" and math != "fp32":
                continue
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
            self.report(name, math, prepare(dtype), flops)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False

    # ---- operations, by the names of `gemel bench`
    def conv2d(self, name, found):
        which, (n, h, w, c, k, r, s) = found[1], map(int, found.groups()[1:8])
        stride, pad = int(found[9] or 1), int(found[10] or 0)
        p, q = (h + 2 * pad - r) // stride + 1, (w + 2 * pad - s) // stride + 1

        def prepare(dtype):
            x, weight = self.random(n, c, h, w, dtype=dtype), self.random(k, c, r, s, dtype=dtype)
            if which == "fprop":
                return lambda: F.conv2d(x, weight, stride=stride, padding=pad)
            dy = self.random(n, k, p, q, dtype=dtype)
            mask = [which == "dgrad", which == "wgrad", False]

            def call():
                gradients = torch.ops.aten.convolution_backward(
                    dy, x, weight, None, [stride] * 2, [pad] * 2, [1, 1], False, [0, 0], 1, mask
                )
                return gradients[0 if which == "dgrad" else 1]

            return call

        self.with_math(name, prepare, 2.0 * n * p * q * k * c * r * s)

    def linear(self, name, found):
        which, (n, inputs, outputs) = found[1], map(int, found.groups()[1:])

        def prepare(dtype):
            x, w = self.random(n, inputs, dtype=dtype), self.random(outputs, inputs, dtype=dtype)
            dy = self.random(n, outputs, dtype=dtype)
            return {"fprop": lambda: F.linear(x, w), "dgrad": lambda: dy @ w, "wgrad": lambda: dy.t() @ x}[which]

        self.with_math(name, prepare, 2.0 * n * inputs * outputs)

    def pairwise(self, name, found):
        n, m, d = map(int, found.groups())
        a, b = self.random(n, d), self.random(m, d)
        self.report(name, "cdist", lambda: torch.cdist(a, b))

    def paired(self, name, found):
        n, d = map(int, found.groups())
        a, b = self.random(n, d), self.random(n, d)

        def distance(a, b):
            return (a - b).pow(2).sum(1).sqrt()

        compiled = torch.compile(distance)
        self.variants(name, lambda: distance(a, b), lambda: compiled(a, b))

    def loss_on(self, name, found, function, same_of):
        n, d = int(found[1]), int(found[2])
        rows = 2 * n if function is contrastive else n
        e = (self.random(rows, d) / 16).requires_grad_()
        same = same_of(n)

        def call(function=function):
            e.grad = None
            loss = function(e, same)
            loss.backward()
            return loss.detach()

        compiled = torch.compile(function)
        self.variants(name, call, lambda: call(compiled))

    def halves(self, pairs):
        return torch.arange(pairs, device=self.device) % 2 == 0

    def groups(self, rows, images=4):
        labels = torch.arange(rows, device=self.device) // images
        return labels[:, None] == labels[None]

    def adam(self, name, found):
        value = nn.Parameter(self.random(int(found[1])))
        value.grad = self.random(int(found[1]))
        optimizer = torch.optim.Adam([value], fused=True, capturable=self.device.type == "cuda")
        self.variants(name, lambda: optimizer.step())

    def step(self, name, found):
        net, loss, n = found[1], found[2], int(found[3])
        size = tuple(map(int, found[4].split("x"))) if found[4] else None
        info = subprocess.run([self.arguments.gemel, "info", net, "--json"], capture_output=True, text=True, check=True)
        built = Builder(json.loads(info.stdout)["network"], size)
        module = built.module.to(self.device).to(memory_format=torch.channels_last).train()
        images = self.random(n, built.input[2], *built.input[:2])
        function = contrastive if loss == "contrastive" else semi_hard
        same = self.halves(n // 2) if function is contrastive else self.groups(n)
        capturable = self.device.type == "cuda"
        optimizer = torch.optim.Adam(module.parameters(), lr=1e-4, fused=True, capturable=capturable)

        def step(forward=lambda x: function(module(x), same)):
            optimizer.zero_grad(set_to_none=False)
            value = forward(images)
            value.backward()
            optimizer.step()
            return value.detach()

        compiled = torch.compile(lambda x: function(module(x), same), mode="max-autotune-no-cudagraphs")
        self.variants(name, step, lambda: step(compiled))

    PATTERNS = [
        (r"conv2d_(fprop|dgrad|wgrad) n=(\d+) (\d+)x(\d+)x(\d+) -> (\d+) @(\d+)x(\d+)(?: stride (\d+))?(?: pad (\d+))?", "conv2d"),
        (r"linear_(fprop|dgrad|wgrad) n=(\d+) (\d+) -> (\d+)", "linear"),
        (r"pairwise_distance n=(\d+) m=(\d+) d=(\d+) squared", "pairwise"),
        (r"paired_distance n=(\d+) d=(\d+)", "paired"),
        (r"contrastive hadsell n=(\d+) d=(\d+) bench", "contrastive"),
        (r"contrastive_all hadsell n=(\d+) d=(\d+) bench", "contrastive_all"),
        (r"adam (\d+) step \d+ bench", "adam"),
        (r"step (\S+) (contrastive|triplet) n=(\d+)(?: (\d+x\d+x\d+))?", "step"),
    ]

    def run(self, name):
        for pattern, kind in self.PATTERNS:
            found = re.fullmatch(pattern, name)
            if found is None:
                continue
            if kind == "contrastive":
                self.loss_on(name, found, contrastive, self.halves)
            elif kind == "contrastive_all":
                self.loss_on(name, found, contrastive_all, self.groups)
            else:
                getattr(self, kind)(name, found)
            return


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", help="what `gemel bench --json` wrote")
    parser.add_argument("--json", help="write the rows to this file as well")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--gemel", default="build/gemel")
    parser.add_argument("--seconds", type=float, default=0.05, help="for each case")
    parser.add_argument("--no-compile", action="store_true", help="without torch.compile, which takes minutes")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("PyTorch finds no GPU")
        return 77
    with open(arguments.bench, encoding="utf-8") as file:
        names = [row["name"] for row in json.load(file)["results"]]
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(0)
    peers = Peers(arguments)
    for name in names:
        peers.run(name)
    where = torch.cuda.get_device_name() if arguments.device == "cuda" else "CPU"
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"peer": f"PyTorch {torch.__version__}", "device": where, "results": peers.rows}, file, indent=1)
    print(f"{len(peers.rows)} rows, PyTorch {torch.__version__}, {where}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
