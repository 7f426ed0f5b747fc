"""Architectures, optimisers and ways of training at an equal budget of CPU seconds.

    PYTHONPATH=. python benchmarks/bakeoff.py FOLDER -o bakeoff.jsonl
    PYTHONPATH=. python benchmarks/bakeoff.py FOLDER -o bakeoff.jsonl --table
    PYTHONPATH=. python benchmarks/bakeoff.py FOLDER -o bakeoff.jsonl --against dense

Every variant (`bakeoff_variants.yaml`) is its group's baseline with a few settings changed. It
trains on the same galaxies with fresh noise, through the package's own questions and objective, for
the same CPU time of its own process (one thread; drawing and asking included, evaluation and
simulation not), and is judged on the same 8,192 objects of other seeds, which follow the declared
prior at a given magnitude. Variants that the output holds already are skipped, so that a run can
be stopped at any time.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from bakeoff_parts import build_model, changed_inputs
from bakeoff_scores import scores

from jpassed.nn import SEDModel
from jpassed.objectives import request_nll
from jpassed.training.config import TrainingConfig
from jpassed.training.muon import make_optimiser
from jpassed.training.pool import Galaxies, GalaxyPool
from jpassed.training.setup import Setup, prepare
from jpassed.training.sources import Observation, SimulatedSource, join
from jpassed.training.steps import Question
from jpassed.training.warm import start_from
from jpassed.vocabulary import load_vocabulary

HERE = Path(__file__).parent
HELD_OUT = 777_001


def settings(name: str, table: dict[str, Any], default: Path) -> tuple[TrainingConfig, dict]:
    """A variant's configuration and `method`: bakeoff_base.yaml, the baselines, the variant."""
    merged = yaml.safe_load(default.read_text("utf-8"))
    variant = table["variants"][name]
    for layer in (table["baseline"], table["groups"].get(variant["group"], {}), variant):
        for part in ("simulation", "mix", "model", "optimiser", "method"):
            merged[part] = {**merged.get(part, {}), **layer.get(part, {})}
    method = merged.pop("method")
    merged["seed"] = variant.get("seed", merged["seed"])
    return TrainingConfig.from_dict(merged), method


def learning_rate(progress: float, peak: float, method: dict[str, Any]) -> float:
    """Rate at a share of the budget: warm-up, then a plateau with 1 - sqrt decay, or a cosine."""
    if progress < method["warmup"]:
        return peak * (progress + 0.002) / (method["warmup"] + 0.002)
    if method["schedule"] == "cosine":
        done = (progress - method["warmup"]) / (1 - method["warmup"])
        return peak * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    left = max(0.0, 1 - progress)
    if left >= method["decay"]:
        return peak
    return peak * (1 - math.sqrt(1 - left / method["decay"]))


def galaxies(config: TrainingConfig, folder: Path, cache: Path, count: int) -> Setup:
    """The pool of galaxies, from the cache or simulated, and the objects to judge by."""
    ssp = tuple(
        str(folder / "ssp" / f"ssp_{n}.npz") for n in ("bc03_lr_chabrier", "emiles_kroupa")
    )
    lines = str(folder / "ssp" / "fsps_nebular" / "ZAU_ND_mist.lines")
    small = replace(config, optimiser=replace(config.optimiser, validation=16))
    setup = prepare(small, torch.device("cpu"), ssp=ssp, lines=lines)
    if not cache.exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        setup.pool.fill()
        names = setup.simulated.bands
        held_out = GalaxyPool(
            setup.pool.simulator, setup.pool.names, seed=HELD_OUT, size=4 * count,
            segment=count, faintest=config.simulation.r_select + 0.8,
        )  # fmt: skip
        source = SimulatedSource(held_out, names, config.simulation)
        judged = natural(source, count)
        kept = {f.name: getattr(setup.pool.galaxies, f.name) for f in fields(setup.pool.galaxies)}
        torch.save((kept, {f.name: getattr(judged, f.name) for f in fields(judged)}), cache)
    kept, judged = torch.load(cache, weights_only=True)
    judged = {name: column[:count] for name, column in judged.items()}
    if kept["labels"].shape[1] != len(setup.pool.names):
        sys.exit(f"{cache} was made with other labels: remove it")
    setup.pool.hold(Galaxies(**kept))
    return replace(setup, validation=Observation(**judged))


def natural(source: SimulatedSource, count: int) -> Observation:
    """Objects of the declared prior at a given magnitude, magnitudes as flat as in a training."""
    generator = torch.Generator().manual_seed(HELD_OUT)
    parts = []
    while sum(len(p.flux) for p in parts) < count:
        drawn = source.draw(512, generator)
        weight = drawn.weight_at_magnitude
        keep = torch.rand(len(weight), generator=generator) < weight / 3.0
        parts.append(Observation(*(getattr(drawn, f.name)[keep] for f in fields(drawn))))
    joined = join(parts)
    return Observation(*(getattr(joined, f.name)[:count] for f in fields(joined)))


def step_loss(
    model: SEDModel, question: Question, config: TrainingConfig, *, dense: bool = False
) -> torch.Tensor:
    """The training's objective for one question, of requests or to the dense readout."""
    low = config.optimiser.precision == "bfloat16"
    answer = model.from_patch if dense else model
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
        prediction = answer(question.context, question.requests)
    each, counts = request_nll(
        model, prediction, question.target, question.error, question.asked, question.weight
    )
    kinds = [n.partition(":")[0] for n in prediction.names]
    weights = torch.tensor([config.mix.weights.get(kind, 1.0) for kind in kinds])
    share = (counts / len(question.context)).clamp(max=1.0)
    return (each * weights * share).sum() / weights.sum()


class Clock:
    """CPU time of this process, in seconds of an undisturbed core.

    On a shared machine a CPU second is worth less while others use the caches and the twin
    hardware thread. A fixed piece of work, timed every so often, says how much less.
    """

    REFERENCE = 0.0098
    """What it took on the machine of the figures, its other core at work."""

    def __init__(self) -> None:
        self.left = torch.randn(1024, 512).bfloat16()
        self.right = torch.randn(512, 512).bfloat16()
        self.probes = [self.probe() for _ in range(8)]
        self.spent, self.mark, self.next = 0.0, time.process_time(), 0.0

    def probe(self) -> float:
        """CPU seconds of matrix products and pointwise work, as a training step has them."""
        began = time.process_time()
        for _ in range(6):
            torch.nn.functional.gelu(self.left @ self.right).float().sum()
        return time.process_time() - began

    def read(self) -> float:
        """Seconds so far."""
        now = time.process_time()
        recent = sorted(self.probes[-7:])[min(3, len(self.probes) - 1)]
        self.spent += (now - self.mark) * self.REFERENCE / recent
        if now > self.next:
            self.probes.append(self.probe())
            self.next = now + 1.0
        self.mark = time.process_time()
        return self.spent


def train(
    config: TrainingConfig,
    method: dict[str, Any],
    setup: Setup,
    seconds: float,
    start: Path | None = None,
) -> tuple[SEDModel, dict[str, torch.Tensor], dict[str, Any]]:
    """Train for so many CPU seconds; the model, its averaged weights, and what it took."""
    torch.manual_seed(config.seed)
    options = config.optimiser
    model = build_model(setup.model_config, load_vocabulary(), method["tokens"])
    if start is not None:
        start_from(model, start, load_vocabulary())
    average = {k: v.detach().clone() for k, v in model.state_dict().items()}
    optimiser = make_optimiser(
        model, options.name, options.learning_rate, options.weight_decay
    )
    began, wall, step, history = time.process_time(), time.monotonic(), 0, []
    clock = Clock()
    while (spent := clock.read()) < seconds:
        rate = learning_rate(spent / seconds, options.learning_rate, method)
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + 2**31 + step)
        drawn = setup.simulated.draw(options.batch, generator)
        loss = step_loss(model, setup.questioner.ask(drawn, generator), config)
        if config.mix.dense:
            drawn = setup.simulated.draw(config.mix.dense, generator)
            dense = setup.questioner.ask_patch(drawn, generator)
            loss = loss + config.mix.dense_weight * step_loss(model, dense, config, dense=True)
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), options.clip_norm)
        optimiser.step()
        keep = min(options.ema, (1.0 + step) / (10.0 + step))
        state = model.state_dict()
        torch._foreach_lerp_(
            [v for v in average.values() if v.is_floating_point()],
            [state[k] for k, v in average.items() if v.is_floating_point()],
            1.0 - keep,
        )
        step += 1
        history.append(round(loss.item(), 4))
    used = time.process_time() - began
    taken = {
        "steps": step,
        "samples": step * config.objects_per_step,
        "cpu_seconds": round(used, 1),
        "undisturbed_seconds": round(spent, 1),
        "wall_seconds": round(time.monotonic() - wall, 1),
        "samples_per_s": round(step * config.objects_per_step / max(spent, 1e-9)),
        "parameters": sum(p.numel() for p in model.parameters()),
        "loss": history[:: max(1, len(history) // 40)],
    }
    return model, average, taken


def run(name: str, table: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Train and judge one variant."""
    default = Path(__file__).parent / "bakeoff_base.yaml"
    config, method = settings(name, table, default)
    torch.set_num_threads(1)
    if options.pool:
        config = replace(config, simulation=replace(config.simulation, pool=options.pool))
    setup = galaxies(config, options.folder, options.cache, options.n)
    variant = table["variants"][name]
    group = table["groups"].get(variant["group"], {})
    goes_on = bool(group.get("start"))
    usual = group.get("seconds", table["seconds"])
    seconds = variant.get("seconds", options.seconds or usual)
    layout = setup.layout
    selection = setup.simulated.selection
    with changed_inputs(method["inputs"], method["hide"]):
        model, average, taken = train(
            config, method, setup, seconds, options.start if goes_on else None
        )
        raw = scores(model, setup.validation, layout, selection, full=False)
        model.load_state_dict(average)
        judged = scores(model, setup.validation, layout, selection)
    return {
        "name": name, "group": variant["group"], "prediction": variant["prediction"],
        "changes": {k: v for k, v in variant.items() if k not in ("group", "prediction")},
        "seconds": seconds, **taken, **judged, "log_z_without_ema": raw["log_z"],
    }  # fmt: skip


def read(path: Path) -> list[dict[str, Any]]:
    """Results so far."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def markdown(results: list[dict[str, Any]]) -> str:
    """A table of all results, as in the documentation."""
    head = (
        "| variant | objects seen | log z | sigma_NMAD(z) | log z, half | sigma_NMAD(z), half | "
        "log M* | A_V | EW(Halpha) | labels | bandfluxes, half |"
    )
    lines = [head, "|---" * (head.count("|") - 1) + "|"]
    for r in results:
        shown = [
            r["name"], f"{r['samples']:,}",
            f"{r['log_z']:.3f}", ", ".join(f"{v:.4f}" for v in r["nmad"]),
            f"{r['half_log_z']:.3f}", ", ".join(f"{v:.4f}" for v in r["half_nmad"]),
            *(f"{r['labels'][n]:.3f}" for n in ("logmstar", "av", "ew_halpha")),
            f"{r['labels_mean']:.3f}", f"{r['half_flux']:.3f}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(shown)} |")
    return "\n".join(lines)


def differences(results: list[dict[str, Any]], against: str) -> str:
    """A table of a group's differences from one of its variants, in nat."""
    base = next(r for r in results if r["name"] == against)
    keys = ("log_z", "half_log_z", "labels_mean", "half_flux")
    lines = [
        "| variant | prediction | steps | objects | z | z, half | labels | bandfluxes, half | "
        "sigma_NMAD(z), r 20-21 | last - EMA |",
        "|---" * 10 + "|",
    ]
    for r in results:
        if r["group"] != base["group"]:
            continue
        shown = [f"{r[k]:.3f}" if r is base else f"{r[k] - base[k]:+.3f}" for k in keys]
        last = r["log_z_without_ema"] - r["log_z"]
        row = [
            r["name"], r["prediction"], f"{r['steps']:,}", f"{r['samples']:,}", *shown,
            f"{r['nmad'][1]:.4f}", f"{last:+.3f}",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing, or print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="folder of the shared data")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON lines")
    parser.add_argument("--variants", type=Path, default=HERE / "bakeoff_variants.yaml")
    parser.add_argument("--only", nargs="+", default=None, help="names of variants")
    parser.add_argument("--groups", default="", help="letters of the groups to run, e.g. G")
    parser.add_argument("--seconds", type=float, default=None, help="CPU seconds a variant")
    parser.add_argument("--n", type=int, default=8192, help="objects to judge by")
    parser.add_argument("--pool", type=int, default=None, help="galaxies to train on")
    parser.add_argument("--cache", type=Path, default=None, help="where the galaxies are kept")
    parser.add_argument("--start", type=Path, default=None, help="weights for variants that go on")
    parser.add_argument("--table", action="store_true", help="print the results so far as a table")
    parser.add_argument("--against", help="print differences from this variant, for its group")
    options = parser.parse_args()
    options.cache = options.cache or options.output.with_suffix(".galaxies.pt")
    if options.table:
        print(markdown(read(options.output)))
        return
    if options.against:
        print(differences(read(options.output), options.against))
        return
    table = yaml.safe_load(options.variants.read_text("utf-8"))
    names = options.only or [
        n
        for n, v in table["variants"].items()
        if not options.groups or v["group"] in options.groups
    ]
    for name in names:
        if name not in table["variants"]:
            parser.error(f"no variant {name!r}; there are {', '.join(table['variants'])}")
        if name in {r["name"] for r in read(options.output)}:
            continue
        group = table["groups"].get(table["variants"][name]["group"], {})
        if group.get("start") and options.start is None:
            print(f"{name}: skipped, it goes on from trained weights: name them with --start")
            continue
        result = run(name, table, options)
        with options.output.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")
        print(
            f"{name}: log z {result['log_z']:.3f} nmad {[round(v, 4) for v in result['nmad']]} "
            f"half {result['half_log_z']:.3f} labels {result['labels_mean']:.3f} "
            f"{result['samples_per_s']}/s",
            flush=True,
        )


if __name__ == "__main__":
    main()
