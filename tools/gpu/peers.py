#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""PyTorch on the same GPU, for the shapes that `gemel bench` prints: convolution passes, linear, pairwise distance, and whole
training steps of `lenet` and `small` (eager, channels-last, float32 without TF32; CUDA-graphed where it can be captured).

  python3 tools/gpu/peers.py [--json FILE]

Exit status 77 where PyTorch or a GPU is missing. Times are medians of 30 after warm-up, with CUDA events."""
import argparse
import json
import sys


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", help="write the rows to this file as well")
    arguments = parser.parse_args()
    try:
        import torch
    except ImportError:
        print("PyTorch not found")
        return 77
    if not torch.cuda.is_available():
        print("PyTorch finds no GPU")
        return 77
    import torch.nn.functional as F

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    device = torch.device("cuda")

    def median_ms(call, repeats=30, warmup=5):
        for _ in range(warmup):
            call()
        torch.cuda.synchronize()
        times = []
        for _ in range(repeats):
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            call()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end))
        return sorted(times)[len(times) // 2]

    rows = []

    def report(name, milliseconds, flops=0.0):
        rows.append({"name": name, "ms": milliseconds, "tflops": flops / milliseconds * 1e-9 if flops else None})
        print(f"{name:44s} {milliseconds:9.4f} ms" + (f" {rows[-1]['tflops']:8.2f} TFLOP/s" if flops else ""), flush=True)

    def channels_last(*shape):
        return torch.randn(*shape, device=device).to(memory_format=torch.channels_last)

    for n, c, size, k, r, pad in [(256, 1, 28, 20, 5, 0), (256, 20, 12, 50, 5, 0), (256, 32, 28, 32, 3, 1),
                                  (256, 32, 14, 64, 3, 1), (256, 64, 14, 64, 3, 1)]:
        x, w = channels_last(n, c, size, size), channels_last(k, c, r, r)
        out = size + 2 * pad - r + 1
        dy = channels_last(n, k, out, out)
        flops = 2.0 * n * out * out * k * c * r * r
        name = f"{n}x{size}x{size}x{c} -> {k} @{r}x{r}"
        backward = torch.ops.aten.convolution_backward

        def gradient(mask):
            return backward(dy, x, w, None, [1, 1], [pad, pad], [1, 1], False, [0, 0], 1, mask)

        report(f"conv2d_fprop {name}", median_ms(lambda: F.conv2d(x, w, padding=pad)), flops)
        if c > 1:
            report(f"conv2d_dgrad {name}", median_ms(lambda: gradient([True, False, False])), flops)
        report(f"conv2d_wgrad {name}", median_ms(lambda: gradient([False, True, False])), flops)

    for n, k, m in [(256, 800, 500), (256, 500, 128), (256, 3136, 128), (4096, 4096, 4096)]:
        a, b = torch.randn(n, k, device=device), torch.randn(m, k, device=device)
        report(f"linear_fprop {n}x{k} -> {m}", median_ms(lambda: F.linear(a, b)), 2.0 * n * k * m)
    for n in (1024, 4096):
        e = torch.randn(n, 128, device=device)
        report(f"pairwise_distance {n}x{n}x128", median_ms(lambda: torch.cdist(e, e)), 3.0 * n * n * 128)

    def lenet():
        nn = torch.nn
        return nn.Sequential(nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten(),
                             nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 128))

    def small():
        nn = torch.nn
        layers = []
        for c, k, pool in [(1, 32, False), (32, 32, True), (32, 64, False), (64, 64, True)]:
            layers += [nn.Conv2d(c, k, 3, padding=1), nn.ReLU()] + ([nn.MaxPool2d(2)] if pool else [])
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(3136, 128))

    for name, build in (("lenet", lenet), ("small", small)):
        net = build().to(device).to(memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(net.parameters(), fused=True, capturable=True)
        images = channels_last(256, 1, 28, 28)
        same = torch.randint(0, 2, (128,), device=device).float()

        def step():
            optimizer.zero_grad(set_to_none=False)
            e = net(images)
            if name == "small":
                e = F.normalize(e)
            d = (e[:128] - e[128:]).pow(2).sum(1).add(1e-12).sqrt()
            loss = (same * d.pow(2) + (1 - same) * (1 - d).clamp(min=0).pow(2)).mean() / 2
            loss.backward()
            optimizer.step()

        report(f"step {name} 128 pairs, eager", median_ms(step))
        try:
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(3):
                    step()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                step()
            report(f"step {name} 128 pairs, CUDA graph", median_ms(graph.replay))
        except RuntimeError as error:
            print(f"step {name}: not captured ({str(error).splitlines()[0]})")

    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"peer": f"PyTorch {torch.__version__}", "gpu": torch.cuda.get_device_name(), "rows": rows}, file, indent=1)
    print(f"{len(rows)} rows, PyTorch {torch.__version__}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
