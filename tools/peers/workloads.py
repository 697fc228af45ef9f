# SPDX-License-Identifier: MIT
"""The workloads of the comparison, as bench/workloads.h names them, with what one call of each computes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Workload:
    name: str
    title: str
    flops: float  # of one call: products only, in the cheapest dense form; Winograd or skipped zeros can beat it
    images: int = 0  # of one call; 0: not counted in images
    unit: str = "images/s"  # or "ms", "GFLOP/s"

    def figure(self, seconds):
        return {"images/s": self.images / seconds, "ms": 1e3 * seconds, "GFLOP/s": 1e-9 * self.flops / seconds}[
            self.unit
        ]


def conv(p, k, c, r):
    """Forward operations of one image: K filters of RxRxC at PxP places."""
    return 2.0 * p * p * k * c * r * r


LENET = [conv(24, 20, 1, 5), conv(8, 50, 20, 5), 2.0 * 800 * 500, 2.0 * 500 * 128]
SMALL = [conv(28, 32, 1, 3), conv(28, 32, 32, 3), conv(14, 64, 32, 3), conv(14, 64, 64, 3), 2.0 * 3136 * 128]
STACK = [conv(14, 64, 64, 3)] * 8


def passes(layers):
    """Forward, input gradient and filter gradient; the first layer's input gradient is not needed."""
    return 3 * sum(layers) - layers[0]


WORKLOADS = [
    Workload("train/small/128", "train small, 128 images", 128 * passes(SMALL), 128),
    Workload("train/lenet/128", "train lenet, 128 images", 128 * passes(LENET), 128),
    Workload("embed/small/64", "embed small, 64 images", 64 * sum(SMALL), 64),
    Workload("embed/small/1", "embed small, 1 image", sum(SMALL), 1),
    Workload("embed/lenet/64", "embed lenet, 64 images", 64 * sum(LENET), 64),
    Workload("embed/lenet/1", "embed lenet, 1 image", sum(LENET), 1),
    Workload("stack3x3/64", "8 x conv 3x3 64 -> 64, 14x14, fwd + bwd", 64 * passes(STACK), 64),
    # ||a||^2 + ||b||^2 - 2ab: one product. Direct differences take twice the operations.
    Workload("pairwise/4096x4096x128", "distances 4096 x 4096 x 128", 2.0 * 4096 * 4096 * 128, unit="ms"),
    # Distances and gradient: two products.
    Workload(
        "contrastive_all/4096x128", "all-pairs contrastive + gradient, 4096 x 128", 4.0 * 4096 * 4096 * 128, unit="ms"
    ),
    Workload("sgemm/2048", "sgemm 2048", 2.0 * 2048**3, unit="GFLOP/s"),
]
