#!/usr/bin/env python3
"""Draws docs/pipeline.svg, README's picture, for light and dark pages: python3 docs/pipeline.py"""

from pathlib import Path

WIDTH, HEIGHT = 840, 250
BOX_WIDTH, BOX_HEIGHT = 128, 52

# name: (left, top, title, second line, ours)
BOXES = {
    "groups": (10, 20, "Log groups", "CloudWatch Logs", False),
    "firehose": (186, 20, "Firehose", "buffers", False),
    "landing": (362, 20, "S3", "landing, failed", False),
    "land": (538, 20, "land", "Lambda function", True),
    "efs": (702, 20, "EFS", "a file a day", False),
    "transform": (186, 170, "transform", "Lambda function", True),
    "backup": (362, 170, "S3", "backup", False),
    "seal": (702, 170, "seal", "Lambda function", True),
}
# from, to, what goes there
ARROWS = [
    ("groups", "firehose", ""),
    ("firehose", "landing", ""),
    ("landing", "land", ""),
    ("land", "efs", ""),
    ("firehose", "transform", "labels"),
    ("firehose", "backup", ""),
    ("backup", "land", "replay"),
    ("seal", "efs", "hourly"),
]
STYLE = """
    text { font: 14px system-ui, sans-serif; text-anchor: middle; fill: #1f2328 }
    text.small { font-size: 12px; fill: #59636e }
    rect { fill: #f6f8fa; stroke: #818b98; rx: 6px }
    rect.ours { fill: #ddf4ff; stroke: #0969da }
    line { stroke: #59636e; stroke-width: 1.5; marker-end: url(#tip) }
    path { fill: #59636e }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc } text.small { fill: #9198a1 }
      rect { fill: #151b23; stroke: #656c76 } rect.ours { fill: #0c2d6b; stroke: #4493f8 }
      line { stroke: #9198a1 } path { fill: #9198a1 }
    }"""


def edge(name, other):
    """Where an arrow leaves or meets a box on its way to another."""
    (left, top), (x, y) = BOXES[name][:2], BOXES[other][:2]
    middle = left + BOX_WIDTH / 2
    if y > top:
        return middle, top + BOX_HEIGHT
    if y < top:
        return middle, top
    return (left + BOX_WIDTH if x > left else left), top + BOX_HEIGHT / 2


def main():
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        "  <title>Log groups, Firehose with the transform function, S3, the land function, EFS</title>",
        f"  <style>{STYLE}\n  </style>",
        '  <marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0,0 8,4 0,8z"/></marker>',
    ]
    for start, end, label in ARROWS:
        (x1, y1), (x2, y2) = edge(start, end), edge(end, start)
        parts.append(f'  <line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"/>')
        if label:
            parts.append(f'  <text class="small" x="{(x1 + x2) / 2 + 34:g}" y="{(y1 + y2) / 2 + 4:g}">{label}</text>')
    for left, top, title, line, ours in BOXES.values():
        kind = ' class="ours"' if ours else ""
        middle = left + BOX_WIDTH / 2
        parts.append(f'  <rect{kind} x="{left}" y="{top}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}"/>')
        parts.append(f'  <text x="{middle:g}" y="{top + 22}">{title}</text>')
        parts.append(f'  <text class="small" x="{middle:g}" y="{top + 40}">{line}</text>')
    Path(__file__).with_name("pipeline.svg").write_text("\n".join([*parts, "</svg>", ""]))


if __name__ == "__main__":
    main()
