"""Every form of head on the same frozen vectors: which posterior is worth its cost.

    python benchmarks/heads.py ../shared/data CACHE --model default -o heads.json

Each head (a residual block that all requests share, then one linear layer a kind) is trained from
scratch on the vectors of `request_vectors.py` for the same CPU seconds. On objects that no head has
seen: mean log score (nats, scaled units), CRPS (scaled units), coverage, parameters a request,
objects/s. Standard errors of differences are those of paired objects, by bootstrap.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from request_vectors import Vectors, read, write
from torch import Tensor, nn

from jpassed.annotation.distributions import scaled_distribution
from jpassed.evaluation import coverage, crps, log_score, pit
from jpassed.nn.blocks import ResidualBlock
from jpassed.nn.config import ModelConfig
from jpassed.nn.heads import make_head
from jpassed.posteriors import Binned, Distribution

LEVELS = (0.5, 0.68, 0.9, 0.95)
REFERENCE = "mixture 5"
RANGE = 4.0
"""Bins of any kind but redshift cover so many scaled units on both sides of 0."""


class BinsHead(nn.Module):
    """Bins of the scaled value, for any kind: cross entropy with a target softened by half a bin.

    Parameters
    ----------
    width, out : int
        Of the vectors, and requests.
    low, high, step : float
        In scaled units.
    """

    def __init__(self, width: int, out: int, low: float, high: float, step: float) -> None:
        super().__init__()
        bins = math.ceil((high - low) / step)
        self.step = step
        self.register_buffer("edges", low + step * torch.arange(bins + 1))
        self.weight = nn.Parameter(torch.randn(out, width, bins) * (0.5 / math.sqrt(width)))
        self.bias = nn.Parameter(torch.zeros(out, bins))

    def forward(self, x: Tensor, kind: Tensor) -> Tensor:
        """(B, R, D), (R,) -> (B, R, bins)."""
        y = torch.bmm(x.float().transpose(0, 1), self.weight[kind])
        return y.transpose(0, 1) + self.bias[kind]

    def loss(self, logits: Tensor, target: Tensor, error: Tensor) -> Tensor:
        """(B, R)."""
        reach = (self.edges - target.unsqueeze(-1)) / (0.5 * self.step * math.sqrt(2.0))
        share = torch.erf(reach).diff(dim=-1)
        share = share / share.sum(-1, keepdim=True).clamp(min=1e-12)
        return -(share * logits.log_softmax(-1)).sum(-1)

    def distribution(self, logits: Tensor) -> Distribution:
        """Of one request, (N, bins)."""
        return Binned(
            self.edges.double().numpy(), logits.double().softmax(-1).numpy(),
            interpolation="cubic",
        )  # fmt: skip


@dataclass(frozen=True)
class Form:
    """A head and the requests it is for."""

    name: str
    make: Callable[[int, int], Any]
    requests: tuple[str, ...]


def forms(names: tuple[str, ...]) -> list[Form]:
    """The heads that are compared."""
    config = ModelConfig()

    def scalar(form: str, **changes: int) -> Callable[[int, int], Any]:
        return lambda width, out: make_head(form, replace(config, width=width, **changes), out)

    def bins(low: float, high: float, step: float) -> Callable[[int, int], Any]:
        return lambda width, out: BinsHead(width, out, low, high, step)

    found = [Form(REFERENCE, scalar("mixture", components=5), names)]
    found += [Form(form, scalar(form), names) for form in ("gaussian", "student-t")]
    found += [Form("flow 8", scalar("flow", flow_bins=8), names)]
    # ln(1+z) = 0.2 y + 0.3: bins of 0.001 and 0.0005 in ln(1+z).
    for step in (0.001, 0.0005):
        make = bins(-1.5, (math.log1p(1.25) - 0.3) / 0.2, step / 0.2)
        found.append(Form(f"binned {step:g}", make, ("z",)))
    others = tuple(n for n in names if n != "z")
    found.append(Form("binned 0.04", bins(-RANGE, RANGE, 0.04), others))
    found += [Form(f"mixture {k}", scalar("mixture", components=k), names) for k in (3, 8)]
    found.append(Form("flow 5", scalar("flow", flow_bins=5), names))
    # Bins have all the seconds for redshift: others get the same chance.
    found.append(Form("mixture 8, z alone", scalar("mixture", components=8), ("z",)))
    return [*found, Form("flow 8, z alone", scalar("flow", flow_bins=8), ("z",))]


class Network(nn.Module):
    """A residual block and a head."""

    def __init__(self, form: Form, width: int) -> None:
        super().__init__()
        self.block = ResidualBlock(width)
        self.head = form.make(width, len(form.requests))

    def forward(self, x: Tensor) -> Tensor:
        """(B, R, D) -> (B, R, P)."""
        return self.head(self.block(x), torch.arange(x.shape[1]))


def columns(vectors: Vectors, form: Form) -> list[int]:
    """Which vectors a form is for."""
    return [vectors.names.index(name) for name in form.requests]


def fit(form: Form, vectors: Vectors, seconds: float, batch: int, rate: float) -> Network:
    """Train a head for some CPU seconds; weights are averaged over the last of the steps."""
    torch.manual_seed(1)
    network = Network(form, vectors.x.shape[-1])
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-4)
    generator = torch.Generator().manual_seed(2)
    mine = columns(vectors, form)
    average = {k: v.clone() for k, v in network.state_dict().items()}
    began, steps = time.process_time(), 0
    while (spent := (time.process_time() - began) / seconds) < 1.0:
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (steps + 1) / 30) * min(1.0, 2.0 * (1.0 - spent))
        rows = torch.randint(0, len(vectors.target), (batch,), generator=generator)
        rows = rows.sort().values  # the vectors lie on disk
        x = torch.stack([vectors.x[c, rows] for c in mine], 1).float()
        target, asked = vectors.target[rows][:, mine], vectors.asked[rows][:, mine]
        loss = network.head.loss(network(x), target, torch.zeros_like(target))
        loss = torch.where(asked, loss, 0.0).sum() / batch
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        steps += 1
        keep = min(0.98, steps / (steps + 10))
        for name, value in network.state_dict().items():
            average[name].lerp_(value, 1.0 - keep)
    network.load_state_dict(average)
    network.steps = steps  # type: ignore[assignment]
    return network.eval()


@torch.inference_mode()
def measure(form: Form, network: Network, test: Vectors) -> dict[str, Any]:
    """Scores of every request; `_score` and `_crps` are those of the objects."""
    mine = columns(test, form)
    began, parts = time.process_time(), []
    for rows in torch.arange(len(test.target)).split(2048):
        parts.append(network(torch.stack([test.x[c, rows] for c in mine], 1).float()))
    parameters = torch.cat(parts)
    spent, found = time.process_time() - began, {}
    for i, name in enumerate(form.requests):
        good = test.asked[:, mine[i]]
        truth = test.target[good, mine[i]].double().numpy()
        began = time.process_time()
        chosen = parameters[good, i]
        if isinstance(network.head, BinsHead):
            d = network.head.distribution(chosen)
        else:
            d = scaled_distribution(network.head, chosen)
        d.quantile([0.16, 0.5, 0.84])
        columns_s = time.process_time() - began
        score = np.maximum(log_score(d, truth), -30.0)
        distance = crps(d, truth, levels=20)
        found[name] = {
            "log score": float(score.mean()),
            "crps": float(distance.mean()),
            "coverage": [float(c) for c in coverage(pit(d, truth), LEVELS)],
            "objects/s (quantiles)": len(truth) / max(columns_s, 1e-6),
            "_score": score,
            "_crps": distance,
        }
    per_request = sum(p.numel() for p in network.head.parameters()) // len(mine)
    return {
        "steps": network.steps, "parameters a request": per_request,
        "objects/s (head)": len(test.target) / spent, "requests": found,
    }  # fmt: skip


def compare(results: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Log score and CRPS over those of the reference, with bootstrap errors of paired objects."""
    rng = np.random.default_rng(0)
    table: dict[str, Any] = {}
    for name in names:
        base = results[REFERENCE]["requests"][name]
        table[name] = {}
        for form, result in results.items():
            own = result["requests"].get(name)
            if own is None:
                continue
            gain = own["_score"] - base["_score"]
            draws = rng.integers(0, len(gain), (200, len(gain)))
            table[name][form] = {
                "log score gain": float(gain.mean()),
                "error": float(gain[draws].mean(1).std()),
                "crps ratio": float(own["_crps"].mean() / base["_crps"].mean()),
                "log score": own["log score"],
                "coverage": own["coverage"],
            }
    return table


def markdown(figures: dict[str, Any]) -> str:
    """The tables of the page on heads: gains by request, and calibration with cost."""
    table, cost = figures["table"], figures["cost"]
    names = [name for name in table if REFERENCE in table[name]]
    lines = ["| log score over that of " + REFERENCE + ", nats | " + " | ".join(names) + " |"]
    lines.append("|---" * (len(names) + 1) + "|")
    for form in cost:
        cells = []
        for name in names:
            entry = table[name].get(form)
            if entry is None:
                cells.append("")
            elif form == REFERENCE:
                cells.append(f"({entry['log score']:.3f})")
            else:
                cells.append(f"{entry['log score gain']:+.3f} ± {entry['error']:.3f}")
        lines.append(f"| {form} | " + " | ".join(cells) + " |")
    lines.append("\n| | " + " | ".join(
        ("CRPS over it, median", "coverage off by, points, mean (worst)", "parameters a request",
         "head, objects/s", "quantiles, objects/s", "steps")
    ) + " |")  # fmt: skip
    lines.append("|---" * 7 + "|")
    for form, entry in cost.items():
        mine = [table[name][form] for name in names if form in table[name]]
        ratio = float(np.median([m["crps ratio"] for m in mine]))
        off = 100 * np.abs(np.array([m["coverage"] for m in mine]) - LEVELS)
        lines.append(
            f"| {form} | {ratio:.3f} | {off.mean():.1f} ({off.max():.1f}) | "
            f"{entry['parameters a request']:,} | {entry['objects/s (head)']:,.0f} | "
            f"{entry['objects/s (quantiles)']:,.0f} | {entry['steps']} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the shared data")
    parser.add_argument("cache", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--galaxies", type=int, default=163_840)
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--test", type=int, default=24_000)
    parser.add_argument("--seconds", type=float, default=60.0, help="CPU seconds a head")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--n", type=int, default=None, help="test objects used")
    parser.add_argument("-o", "--output", type=Path, default=Path("heads.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    write(
        options.folder, options.cache, options.model, options.galaxies, options.draws, options.test
    )
    vectors, test = read(options.cache, "train"), read(options.cache, "test")
    if options.n:
        test = test.rows(slice(0, options.n))
    results: dict[str, Any] = {}
    for form in forms(vectors.names):
        network = fit(form, vectors, options.seconds, options.batch, options.rate)
        results[form.name] = found = measure(form, network, test)
        scores = {k: round(v["log score"], 4) for k, v in found["requests"].items()}
        print(form.name, found["steps"], scores, flush=True)
        _write(options, results, vectors.names)
    print(markdown(json.loads(options.output.read_text())))


def _write(options: argparse.Namespace, results: dict[str, Any], names: tuple[str, ...]) -> None:
    """Write the comparison so far."""
    figures = {
        "cpu seconds": options.seconds,
        "table": compare(results, names),
        "cost": {
            form: {k: v for k, v in result.items() if k != "requests"}
            | {"objects/s (quantiles)": float(np.median([
                r["objects/s (quantiles)"] for r in result["requests"].values()
            ]))}
            for form, result in results.items()
        },
    }  # fmt: skip
    options.output.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
