"""The limit's posteriors, batch by batch, into one file.

Layout of the file (npz; O objects, B = 62 bands, L labels): ``bands`` (B,), ``labels`` (L,),
``bin`` and ``number`` (O,) say which magnitude bin and which of its objects, ``case`` is 0 with all
bands and 1 with half of them hidden; ``flux``, ``error``, ``observed`` (O, B) in microjansky;
``truth``, ``target`` (O, L); ``method`` 0 for importance sampling, 1 for sequential Monte Carlo;
``effective``, ``pareto_k`` of the importance sampling, ``exact_effective`` (share) of the weights
of the exact template factor. For each quantity q of z, logmstar, av, ew_halpha: ``draws_q`` and
``log_density_q`` (O, 500), draws of the posterior and the posterior's ln density there;
``score_q`` (O,) ln density at the truth per physical unit (NaN where q is no target),
``score_wide_q`` with twice the kernel width, ``score_halves_q`` (O, 2) from either half of the
particles, ``rank_q`` of the truth among the draws. ``sandwich`` (O,) marks objects for which the
same was done from the truth: ``score_truth_q``, ``log_density_truth_q``, ``draws_truth_q``.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from limit_library import Library, Objects, draw_objects, effective, pareto_k
from limit_likelihood import Forward, Particles, Photometry
from limit_sampler import Population, Sampler, systematic
from limit_scores import FOLDS, QUANTITIES, summarise
from torch import Tensor

from jpassed.filters import load_filters
from jpassed.jspectrum.error_model import load_noise
from jpassed.simulator import LABELS, GalaxySimulator, read_ssp
from jpassed.simulator.noise import NoiseModel

BINS = ((16.0, 20.0), (20.0, 21.0), (21.0, 22.0), (22.0, 22.7))
LEAST_EFFECTIVE, LARGEST_K = 200.0, 0.7
PROPOSALS = 12000
LEAST_START = 150.0
LEAST_HELP = 30.0
"""Draws of the importance sampling join those of the particles from this effective number on."""

TAIL_SHARE = 0.35
TRUTH_PARTICLES, TRUTH_SWEEPS = 64, 480
"""Of the runs from the truth: fewer particles, more sweeps to forget it."""
POWERS = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0)
EVERY = 10
MASK_SEED = 7_100_000


@dataclass(frozen=True)
class DrawSet:
    """Weighted draws of one object's posterior.

    Parameters
    ----------
    particles : Particles (n)
    log_weight : Tensor (n,)
    fold : Tensor (n,), int
        Parts with few common ancestors.
    count : float
        Effective number of independent draws.
    """

    particles: Particles
    log_weight: Tensor
    fold: Tensor
    count: float


class Limit:
    """Computes posteriors for objects of the magnitude bins.

    Parameters
    ----------
    folder : Path
        The shared data.
    library : int
        Prior draws a bin.
    particles, sweeps, tempering : int
        Of the sequential Monte Carlo: particles an object, sweeps at full likelihood (draws are
        kept from the second half), sweeps at each lower power (twice as many below r = 21, where
        the library says less).
    """

    def __init__(
        self, folder: Path, library: int, particles: int, sweeps: int, tempering: int
    ) -> None:
        filters = load_filters("jpas") + load_filters("galex")
        ssp = folder / "ssp"
        simulator = GalaxySimulator(
            [read_ssp(ssp / f"ssp_{n}.npz") for n in ("bc03_lr_chabrier", "emiles_kroupa")],
            [(b.name, b.wave, b.throughput) for b in filters],
            lines=ssp / "fsps_nebular" / "ZAU_ND_mist.lines",
            balance=0.0,
            shares=(0.3, 0.7),
        )
        model = (load_noise("minijpas-v1") + load_noise("galex-ais")).select(filters.names)
        self.bands = simulator.bands
        self.forward = Forward(simulator, model.arrays())
        self.noise = NoiseModel(model.arrays())
        self.size, self.particles = library, particles
        self.sweeps, self.tempering = sweeps, tempering
        self.libraries: dict[int, Library] = {}

    def library(self, index: int) -> Library:
        """Of a bin, made when first asked for."""
        if index not in self.libraries:
            self.libraries[index] = Library(self.forward, *BINS[index], self.size)
        return self.libraries[index]

    def batch(
        self, index: int, first: int, last: int, case: int, sandwich: int
    ) -> dict[str, np.ndarray]:
        """Objects `first` to `last` of a bin; the first `sandwich` of them also from the truth."""
        objects = draw_objects(self.forward, self.noise, *BINS[index], last, index)
        rows = torch.arange(first, last)
        photometry = objects.photometry[rows]
        if case == 1:
            photometry = hide(photometry, index, first)
        generator = torch.Generator().manual_seed(9_000_000 + 1000 * index + first + 500_000 * case)
        began = time.process_time()
        starts, helpful, importance = self._importance(index, photometry, generator)
        spent = time.process_time() - began
        slow = [o for o in range(len(rows)) if o not in importance]
        sets: dict[int, list[DrawSet]] = {o: [d] for o, d in helpful.items()}
        if slow:
            sampler = Sampler(self.forward, generator)
            population = Population(
                join([starts[o]["particles"] for o in slow]),
                torch.cat([starts[o]["log_like"] for o in slow]),
                photometry[torch.tensor(slow)],
                self.particles,
            )
            power = torch.tensor([starts[o]["power"] for o in slow])
            slower = 2 if index < 2 else 1
            sampler.temper(population, power, sweeps=slower * self.tempering)
            kept = self._collect(sampler, population, None, self.sweeps)
            for o, found_sets in zip(slow, kept, strict=True):
                sets.setdefault(o, []).extend(found_sets)
            accepted = (sampler.accepted / sampler.tried.clamp(min=1)).numpy().round(2)
        found = {
            o: self._finish(own, photometry, o, generator) for o, own in sorted(sets.items())
        }
        truth_found = self._from_truth(
            objects.truth[rows], photometry, found, min(sandwich, len(rows)), generator
        )
        seconds = time.process_time() - began
        print(
            f"bin {index} case {case} objects {first}-{last}: {len(importance)} by importance, "
            f"{seconds:.0f} s ({spent:.0f} s importance)"
            + (f", accepted {accepted}" if slow else ""),
            flush=True,
        )
        return self._record(
            index, first, case, objects, rows, photometry, starts, importance, found, truth_found
        )

    def _importance(
        self, index: int, photometry: Photometry, generator: torch.Generator
    ) -> tuple[list[dict[str, Any]], dict[int, DrawSet], list[int]]:
        library = self.library(index)
        starts: list[dict[str, Any]] = []
        helpful: dict[int, DrawSet] = {}
        accepted: list[int] = []
        for o in range(len(photometry.flux)):
            own = photometry[slice(o, o + 1)]
            p, prior, like = library.propose(own, PROPOSALS, generator)
            weight = prior + like
            size, k = effective(weight), pareto_k(weight)
            powers = [b for b in POWERS if effective(prior + b * like) >= LEAST_START]
            power = max(powers) if powers else POWERS[0]
            pick = systematic((prior + power * like)[None], self.particles, generator)[0]
            starts.append(
                {
                    "particles": p[pick], "log_like": like[pick], "power": power,
                    "effective": size, "k": k,
                }
            )  # fmt: skip
            if size >= LEAST_HELP:
                accepted_here = size >= LEAST_EFFECTIVE and k < LARGEST_K
                helpful[o] = thin(p, weight, size, generator)
                if accepted_here:
                    accepted.append(o)
        return starts, helpful, accepted

    def _collect(
        self, sampler: Sampler, population: Population, archive: Particles | None, total: int
    ) -> list[list[DrawSet]]:
        """Two sets of draws of every object.

        Particles at every tenth sweep at the full likelihood, and then at a lower power that
        leaves `TAIL_SHARE` of them effective, with their weights: the second set knows the tails.
        """
        objects, size = population.objects, population.size
        out: list[list[DrawSet]] = [[] for _ in range(objects)]
        beta = torch.ones(objects)
        fold = torch.arange(size) * FOLDS // size
        for stage, sweeps in enumerate((2 * total // 3, total // 3)):
            if stage == 1:
                like = population.log_like.reshape(objects, size)
                beta = torch.tensor([1.0 - fall(row, TAIL_SHARE) for row in like])
            skipped = sweeps // 2 if stage == 0 else sweeps // 4
            shots: list[tuple[Particles, Tensor]] = []
            for sweep in range(sweeps):
                sampler.sweep(population, beta, archive)
                if sweep >= skipped and (sweep + 1) % EVERY == 0:
                    p = Particles(*(t.clone() for t in fields_of(population.particles)))
                    shots.append((p, population.log_like.clone()))
            for o in range(objects):
                rows = slice(o * size, (o + 1) * size)
                weight = (1.0 - beta[o]) * torch.cat([like[rows] for _, like in shots])
                if stage == 1:
                    weight = weight.clamp(max=float(weight.quantile(0.995)))
                share = effective(weight) / len(weight)
                out[o].append(
                    DrawSet(
                        join([p[rows] for p, _ in shots]), weight, fold.repeat(len(shots)),
                        share * size,
                    )
                )  # fmt: skip
        return out

    def _finish(
        self, sets: list[DrawSet], photometry: Photometry, o: int, generator: torch.Generator
    ) -> dict[str, Any]:
        """All draws of one object with their labels; sets count by their effective numbers."""
        particles = join([d.particles for d in sets])
        base = torch.cat([torch.log_softmax(d.log_weight, 0) + np.log(d.count) for d in sets])
        own = own_rows(photometry, o, len(particles))
        labels, observable, log_weight = self.forward.complete(particles, own, generator)
        log_weight[~torch.isfinite(log_weight)] = -torch.inf
        share = effective(base + log_weight) / effective(base)
        weight = torch.softmax((base + log_weight).double(), 0).numpy()
        return {
            "particles": particles, "labels": labels, "observable": observable,
            "weight": weight, "fold": torch.cat([d.fold for d in sets]).numpy(), "share": share,
        }  # fmt: skip

    def _from_truth(
        self,
        truth: Particles,
        photometry: Photometry,
        found: dict[int, dict[str, Any]],
        number: int,
        generator: torch.Generator,
    ) -> dict[int, dict[str, Any]]:
        """The same posteriors with all particles begun at the truth."""
        if number == 0:
            return {}
        size = TRUTH_PARTICLES
        rows = torch.arange(number).repeat_interleave(size)
        start = truth[rows]
        start = Particles(*(t.clone() for t in fields_of(start)))
        own = photometry[torch.arange(number)]
        like = self.forward.log_likelihood(truth[torch.arange(number)], own)[rows]
        population = Population(start, like, own, size)
        archive = []
        for o in range(number):
            p = found[o]["particles"]
            chance = torch.from_numpy(found[o]["weight"])
            archive.append(p[torch.multinomial(chance, 512, True, generator=generator)])
        sampler = Sampler(self.forward, generator)
        kept = self._collect(sampler, population, join(archive), TRUTH_SWEEPS)
        return {o: self._finish(d, photometry, o, generator) for o, d in enumerate(kept)}

    def _record(
        self,
        index: int,
        first: int,
        case: int,
        objects: Objects,
        rows: Tensor,
        photometry: Photometry,
        starts: list[dict[str, Any]],
        importance: list[int],
        found: dict[int, dict[str, Any]],
        truth_found: dict[int, dict[str, Any]],
    ) -> dict[str, np.ndarray]:
        n = len(rows)
        target = torch.stack([objects.observable[k][rows] for k in LABELS], 1).numpy()
        truth = torch.stack([objects.labels[k][rows] for k in LABELS], 1).double().numpy()
        out: dict[str, Any] = {
            "bin": np.full(n, index), "number": rows.numpy(), "case": np.full(n, case),
            "flux": photometry.flux.numpy(), "error": photometry.error.numpy(),
            "observed": photometry.observed.numpy(), "truth": truth, "target": target,
            "method": np.array([0 if o in importance else 1 for o in range(n)]),
            "effective": np.array([s["effective"] for s in starts]),
            "pareto_k": np.array([s["k"] for s in starts]),
            "exact_effective": np.array([found[o]["share"] for o in range(n)]),
            "sandwich": np.array([o in truth_found for o in range(n)]),
        }  # fmt: skip
        rng = np.random.default_rng(1000 * index + first)
        for name in QUANTITIES:
            column = LABELS.index(name)
            parts, other = [], []
            for o in range(n):
                value = truth[o, column] if target[o, column] else np.nan
                parts.append(one(name, found[o], value, rng))
                extra = truth_found.get(o)
                other.append(None if extra is None else one(name, extra, value, rng))
            for key in parts[0]:
                out[f"{key}_{name}"] = np.stack([p[key] for p in parts])
            for key in ("score", "log_density", "draws"):
                blank = np.full_like(parts[0][key], np.nan)
                out[f"{key}_truth_{name}"] = np.stack(
                    [blank if p is None else p[key] for p in other]
                )
        return out


def thin(p: Particles, log_weight: Tensor, size: float, generator: torch.Generator) -> DrawSet:
    """Some 3000 of many weighted draws: the heaviest all, the others by chance."""
    tempered = torch.softmax(0.5 * log_weight.double(), 0)
    included = (3000 * tempered).clamp(max=1.0)
    chance = torch.rand(len(included), generator=generator, dtype=torch.float64)
    rows = torch.nonzero(chance < included)[:, 0]
    weight = log_weight[rows] - torch.log(included[rows]).float()
    fold = torch.randint(FOLDS, (len(rows),), generator=generator)
    return DrawSet(p[rows], weight, fold, size)


def fall(log_like: Tensor, share: float) -> float:
    """How far the power of the likelihood may fall until `share` of the weights is effective."""
    low, high = 0.0, 0.7
    for _ in range(20):
        middle = 0.5 * (low + high)
        # particles of a lower power spread more than those at hand: twice the fall, as a guide
        if effective(1.5 * middle * log_like) >= share * len(log_like):
            low = middle
        else:
            high = middle
    return low


def one(
    name: str, found: dict[str, Any], truth: float, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """`summarise` for one object; a line's draws are those with the line inside the bands."""
    draws = found["labels"][name].double().numpy()
    use = found["observable"][name].numpy() & np.isfinite(draws) & (found["weight"] > 0)
    folds = found["fold"][use]
    low = folds < FOLDS // 2
    if use.sum() < 50 or min(low.sum(), (~low).sum()) < 10:
        nan = np.full(500, np.nan)
        return {
            "draws": nan, "log_density": nan, "score": np.array(np.nan),
            "score_wide": np.array(np.nan), "rank": np.array(np.nan),
            "score_halves": np.full(2, np.nan),
        }  # fmt: skip
    return summarise(name, draws[use], found["weight"][use], folds, truth, rng)


def fields_of(p: Particles) -> tuple[Tensor, ...]:
    """The tensors of some particles."""
    return p.zeta, p.mag, p.red, p.x


def join(parts: list[Particles]) -> Particles:
    """Particles one after the other."""
    return Particles(*(torch.cat(t) for t in zip(*map(fields_of, parts), strict=True)))


def own_rows(photometry: Photometry, o: int, n: int) -> Photometry:
    """One object's photometry for n particles."""
    return photometry[torch.full((n,), o)]


def hide(photometry: Photometry, index: int, first: int) -> Photometry:
    """Half of the bands of each object, at random, are not observed."""
    generator = torch.Generator().manual_seed(MASK_SEED + 1000 * index + first)
    order = torch.rand(photometry.flux.shape, generator=generator).argsort(1).argsort(1)
    return Photometry(photometry.flux, photometry.error, order < photometry.flux.shape[1] // 2)


def load(path: Path) -> dict[str, np.ndarray]:
    """The file's arrays; nothing where there is no file."""
    if not path.exists():
        return {}
    with np.load(path) as archive:
        return {key: archive[key] for key in archive.files}


def add(path: Path, old: dict[str, np.ndarray], new: dict[str, np.ndarray], bands: tuple[str, ...]
        ) -> dict[str, np.ndarray]:  # fmt: skip
    """Join a batch to what is there and write it atomically."""
    joined = {
        key: np.concatenate([old[key], value]) if key in old else value
        for key, value in new.items()
    }
    joined |= {"bands": np.array(bands), "labels": np.array(LABELS)}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.npz")
    np.savez_compressed(temporary, **joined)
    os.replace(temporary, path)
    return joined
