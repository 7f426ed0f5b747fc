"""What the width of the redshift bins costs: log score by bin width, softening and interpolation.

    python benchmarks/redshift_bins.py ../shared/data CACHE --model default -o bins.json

First the arithmetic: a Gaussian of sigma in ln(1+z) told by bins of width b that were trained on a
target softened by s. Then heads on frozen vectors of `request_vectors.py`: the embedded head's rows
are duplicated for narrower bins, and every head is trained for the same CPU seconds.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from request_vectors import Vectors, read, write
from scipy.special import log_softmax, ndtr
from torch import Tensor

import jpassed

EDGES = (0.0, 18.0, 19.0, 20.0, 21.0, 22.0, 22.7)
FORMS = ((0.001, 0.5), (0.001, 0.25), (0.0005, 0.5), (0.0005, 0.25), (0.00025, 0.5))
"""Bin width in ln(1+z), and the softening of the target over it."""
BATCH = 1024


def ideal_loss(sigma: float, step: float, soft: float, smooth: bool) -> float:
    """Nats lost on a Gaussian of `sigma`, the mean over places of its centre within a bin."""
    wide = math.hypot(sigma, soft * step)
    grid = np.arange(-60, 61) * step
    lost = []
    for centre in (np.arange(10) + 0.5) / 10 * step:
        share = np.diff(ndtr((grid - centre) / wide))
        x = centre + sigma * np.linspace(-6, 6, 4001)
        w = np.exp(-0.5 * ((x - centre) / sigma) ** 2)
        w /= w.sum()
        own = -0.5 * ((x - centre) / sigma) ** 2 - math.log(sigma * math.sqrt(2 * math.pi))
        told = np.log(np.maximum(density(share[None], grid, x[None], step, smooth)[0], 1e-300))
        lost.append(float((w * (own - told)).sum()))
    return float(np.mean(lost))


def density(
    share: np.ndarray, edges: np.ndarray, x: np.ndarray, step: float, smooth: bool
) -> np.ndarray:
    """Density at x (N, Q) of bins with shares (N, M): constant, or the slope of a monotone cubic.

    The cubic passes through the cumulative probability at the edges (Fritsch & Butland 1984, SIAM
    J. Sci. Stat. Comput. 5, 300): bins keep their shares, the density is continuous.
    """
    index = np.clip(np.floor((x - edges[0]) / step).astype(int), 0, share.shape[1] - 1)
    here = np.take_along_axis(share, index, 1) / step
    if not smooth:
        return here
    t = np.clip((x - edges[0]) / step - index, 0.0, 1.0)
    last = share.shape[1] - 1
    before = np.take_along_axis(share, np.maximum(index - 1, 0), 1) / step
    after = np.take_along_axis(share, np.minimum(index + 1, last), 1) / step

    def mean(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return 2 * a * b / np.maximum(a + b, 1e-300)

    left, right = mean(before, here), mean(here, after)
    return here * 6 * t * (1 - t) + left * (3 * t * t - 4 * t + 1) + right * (3 * t * t - 2 * t)


class Bins(torch.nn.Module):
    """The embedded redshift head with every row repeated."""

    def __init__(self, head: Any, repeat: int, soft: float) -> None:
        super().__init__()
        self.repeat, self.step, self.soft = repeat, head.step / repeat, soft
        self.loc, self.scale = head.loc, head.scale
        bins = (len(head.edges) - 1) * repeat
        self.edges = torch.arange(bins + 1, dtype=torch.float64) * self.step
        self.up = copy.deepcopy(head.up)  # None behind a dense readout
        self.last = torch.nn.Linear(head.last.in_features, bins)
        with torch.no_grad():
            self.last.weight.copy_(head.last.weight.repeat_interleave(repeat, 0))
            self.last.bias.copy_(head.last.bias.repeat_interleave(repeat, 0))

    def forward(self, x: Tensor) -> Tensor:
        """(B, D) -> (B, bins)."""
        return self.last(x if self.up is None else torch.nn.functional.gelu(self.up(x)))

    def loss(self, logits: Tensor, x: Tensor) -> Tensor:
        """Cross entropy with ln(1+z) softened."""
        reach = (self.edges.float() - x.unsqueeze(-1)) / (self.soft * self.step * math.sqrt(2.0))
        share = torch.erf(reach).diff(dim=-1)
        share = share / share.sum(-1, keepdim=True).clamp(min=1e-12)
        return -(share * logits.log_softmax(-1)).sum(-1).mean()


def train(head: Bins, vectors: Vectors, seconds: float) -> int:
    """Fine-tune for some CPU seconds; the number of steps."""
    column = vectors.names.index("z")
    x = vectors.target[:, column] * head.scale + head.loc
    optimiser = torch.optim.AdamW(head.parameters(), lr=5e-4, weight_decay=0.0)
    generator = torch.Generator().manual_seed(1)
    average = {k: v.clone() for k, v in head.state_dict().items()}
    began, steps = time.process_time(), 0
    while (spent := (time.process_time() - began) / seconds) < 1.0:
        for group in optimiser.param_groups:
            group["lr"] = 5e-4 * min(1.0, (steps + 1) / 50) * (1.0 - spent)
        rows = torch.randint(0, len(x), (BATCH,), generator=generator)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = head(vectors.x[column, rows].float())
        loss = head.loss(logits.float(), x[rows])
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        steps += 1
        keep = min(0.99, steps / (steps + 10))
        for name, value in head.state_dict().items():
            average[name].lerp_(value, 1.0 - keep)
    head.load_state_dict(average)
    return steps


@torch.inference_mode()
def scores(head: Bins, vectors: Vectors) -> dict[str, np.ndarray]:
    """Log density in ln(1+z) at the truth, with and without interpolation, and sigma."""
    column = vectors.names.index("z")
    x = (vectors.target[:, column].double() * head.scale + head.loc).numpy()
    edges = head.edges.numpy()
    middle = 0.5 * (edges[1:] + edges[:-1])
    found: dict[str, list[np.ndarray]] = {"constant": [], "cubic": [], "sigma": []}
    for rows in torch.arange(len(x)).split(4096):
        logits = head(vectors.x[column, rows].float()).double().numpy()
        share = np.exp(log_softmax(logits, axis=1))
        at = x[rows.numpy()][:, None]
        for name, smooth in (("constant", False), ("cubic", True)):
            found[name].append(np.log(density(share, edges, at, head.step, smooth)[:, 0] + 1e-300))
        mean = share @ middle
        found["sigma"].append(np.sqrt(np.maximum(share @ middle**2 - mean**2, 0.0)))
    return {name: np.concatenate(v) for name, v in found.items()}


def by_magnitude(values: np.ndarray, magnitude: np.ndarray) -> dict[str, list[float]]:
    """Mean and its standard error in bins of observed r."""
    rows = {}
    for low, high in zip(EDGES[:-1], EDGES[1:], strict=True):
        here = values[(magnitude >= low) & (magnitude < high)]
        if len(here) > 1:
            rows[f"{low:g}-{high:g}"] = [
                round(float(here.mean()), 4), round(float(here.std() / math.sqrt(len(here))), 4)
            ]  # fmt: skip
    return rows


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the shared data")
    parser.add_argument("cache", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--galaxies", type=int, default=163_840)
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--test", type=int, default=24_000)
    parser.add_argument("--seconds", type=float, default=30.0, help="CPU seconds a head")
    parser.add_argument("-o", "--output", type=Path, default=None)
    options = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, Any] = {"ideal": {}, "heads": {}}
    for sigma in (0.0003, 0.0005, 0.0007, 0.001, 0.0014, 0.002):
        figures["ideal"][f"{sigma:g}"] = {
            f"{step:g} soft {soft:g} {'cubic' if smooth else 'constant'}": round(
                ideal_loss(sigma, step, soft, smooth), 4
            )
            for step, soft in (*FORMS, (0.00025, 0.25))
            for smooth in (False, True)
        }
    write(
        options.folder, options.cache, options.model, options.galaxies, options.draws, options.test
    )
    vectors, test = read(options.cache, "train"), read(options.cache, "test")
    head = jpassed.load_model(options.model).network.redshift_head
    if head is None:
        raise SystemExit("the model has no redshift bins")
    reference = scores(Bins(head, 1, 0.5), test)
    magnitude = test.magnitude.numpy()
    figures["sigma"] = {
        key: value[0] for key, value in by_magnitude(reference["sigma"], magnitude).items()
    }
    figures["embedded head"] = by_magnitude(reference["constant"], magnitude)
    figures["cubic less constant"] = by_magnitude(
        reference["cubic"] - reference["constant"], magnitude
    )
    print(json.dumps(figures, indent=1), flush=True)
    base = None
    for step, soft in FORMS:
        if step > 1.01 * head.step:
            continue  # narrower bins than these are embedded already
        bins = Bins(head, round(head.step / step), soft)
        steps = train(bins, vectors, options.seconds)
        found = scores(bins, test)
        base = found["constant"] if base is None else base
        figures["heads"][f"{step:g} soft {soft:g}"] = entry = {
            "steps": steps,
            "constant": by_magnitude(found["constant"] - base, magnitude),
            "cubic": by_magnitude(found["cubic"] - base, magnitude),
            "median sigma r < 18": float(np.median(found["sigma"][magnitude < 18])),
        }
        print(step, soft, json.dumps(entry), flush=True)
        if options.output:
            options.output.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
