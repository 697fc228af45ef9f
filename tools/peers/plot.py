#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The figures of run.py as bars in one SVG: share of the multiply-add peak, whiskers from the slowest to the fastest
round.

plot.py RESULTS.json PLOT.svg"""

import json
import sys
from html import escape

COLOURS = {"gemel": "#1b6ca8", "torch": "#e4572e", "onednn": "#76a665", "dlib": "#9c7bb5", "openblas": "#c9a227"}
LEFT, WIDTH, BAR, GAP, TOP = 310, 560, 13, 12, 64


def text(x, y, content, size=12, anchor="start", extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" {extra}>{escape(content)}</text>'


def svg(results):
    rows = [row for row in results["workloads"] if row["peers"]]
    most = max(figure["share_max"] for row in rows for figure in row["peers"].values())
    step = 0.2 if most <= 1.6 else 0.5
    end = step * (int(most / step) + 1)
    scale = WIDTH / end
    height = TOP + sum(len(row["peers"]) * BAR + GAP for row in rows) + 16
    total = LEFT + WIDTH + 150
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{total}" height="{height}" viewBox="0 0 {total} {height}" '
        'font-family="system-ui, sans-serif" fill="#222">',
        f'<rect width="{total}" height="{height}" fill="#fff"/>',
        text(
            LEFT,
            18,
            f"Share of the multiply-add peak ({results['peak_gflops']:.0f} GFLOP/s, {results['threads']} threads)",
            13,
            extra='font-weight="600"',
        ),
    ]
    x = LEFT
    for peer in results["peers"]:
        name = peer["version"]
        parts.append(f'<rect x="{x}" y="28" width="10" height="10" fill="{COLOURS[peer["name"]]}"/>')
        parts.append(text(x + 14, 37, name, 11))
        x += 30 + 6.3 * len(name)
    for i in range(int(end / step + 0.5) + 1):
        x = LEFT + i * step * scale
        colour = "#888" if abs(i * step - 1) < 1e-9 else "#e4e4e4"
        parts.append(f'<line x1="{x:.1f}" y1="{TOP - 4}" x2="{x:.1f}" y2="{height - 12}" stroke="{colour}"/>')
        parts.append(text(x, TOP - 8, f"{100 * i * step:.0f} %", 10, "middle", 'fill="#666"'))
    y = TOP + GAP / 2
    for row in rows:
        parts.append(text(LEFT - 10, y + len(row["peers"]) * BAR / 2 + 4, row["title"], 12, "end"))
        for peer, figure in row["peers"].items():
            length, low, high = (figure[key] * scale for key in ("share", "share_min", "share_max"))
            middle = y + BAR / 2
            parts.append(
                f'<rect x="{LEFT}" y="{y + 1:.1f}" width="{length:.1f}" height="{BAR - 2}" fill="{COLOURS[peer]}"/>'
            )
            parts.append(
                f'<path d="M{LEFT + low:.1f} {middle:.1f}H{LEFT + high:.1f}" stroke="#222" stroke-width="1.2"/>'
            )
            parts.append(text(LEFT + max(length, high) + 5, middle + 3.5, figure["text"], 10))
            y += BAR
        y += GAP
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        results = json.load(file)
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(svg(results))


if __name__ == "__main__":
    main()
