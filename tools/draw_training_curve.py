#!/usr/bin/env python
"""Draw the training curve of the documentation from the log of a training.

    python tools/draw_training_curve.py RUN/log.jsonl docs/_static/training_curve.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

from jpassed.plotting import plot_training


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("log", type=Path, help="log.jsonl, or the folder of a training")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--batch", type=int, help="objects a step, for logs of earlier versions")
    options = parser.parse_args()
    matplotlib.use("Agg")
    figure = plot_training(options.log, batch=options.batch)
    figure.savefig(options.picture, dpi=110)


if __name__ == "__main__":
    main()
