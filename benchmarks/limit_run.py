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
from pathlib import Path
from typing import Any

import numpy as np
import torch
from limit_library import Library, Objects, draw_objects, effective, pareto_k
from limit_likelihood import Forward, Particles, Photometry
from limit_sampler import Population, Sampler, systematic
from limit_scores import QUANTITIES, summarise
from torch import Tensor

from jpassed.filters import load_filters
from jpassed.jspectrum.error_model import load_noise
from jpassed.simulator import LABELS, GalaxySimulator, read_ssp
from jpassed.simulator.noise import NoiseModel

BINS = ((16.0, 20.0), (20.0, 21.0), (21.0, 22.0), (22.0, 22.7))
LEAST_EFFECTIVE, LARGEST_K = 200.0, 0.7
PROPOSALS = 12000
LEAST_START = 150.0
POWERS = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0)
EVERY = 10
MASK_SEED = 7_100_000


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
        kept from the second half), sweeps at each lower power.
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
        starts, importance = self._importance(index, photometry, generator)
        spent = time.process_time() - began
        slow = [o for o in range(len(rows)) if o not in importance]
        found: dict[int, dict[str, Any]] = {
            o: self._finish(p, own_rows(photometry, o, len(p)), halves, generator)
            for o, (p, halves) in importance.items()
        }
        population: Population | None = None
        if slow:
            sampler = Sampler(self.forward, generator)
            chosen = torch.tensor(slow)
            population = Population(
                join([starts[o]["particles"] for o in slow]),
                torch.cat([starts[o]["log_like"] for o in slow]),
                photometry[chosen],
                self.particles,
            )
            power = torch.tensor([starts[o]["power"] for o in slow])
            sampler.temper(population, power, sweeps=self.tempering)
            kept = self._collect(sampler, population, None)
            accepted = (sampler.accepted / sampler.tried.clamp(min=1)).numpy().round(2)
            for i, o in enumerate(slow):
                particles, halves = kept[i]
                found[o] = self._finish(
                    particles, own_rows(photometry, o, len(particles)), halves, generator
                )
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
    ) -> tuple[list[dict[str, Any]], dict[int, tuple[Particles, Tensor]]]:
        library = self.library(index)
        starts, accepted = [], {}
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
            if size >= LEAST_EFFECTIVE and k < LARGEST_K:
                draw = systematic(weight[None], 2000, generator)[0]
                # a draw that was picked twice is on one side only
                accepted[o] = (p[draw], draw % 2 == 0)
        return starts, accepted

    def _collect(
        self, sampler: Sampler, population: Population, archive: Particles | None
    ) -> list[tuple[Particles, Tensor]]:
        """Particles of every object at every tenth sweep of the second half."""
        objects, size = population.objects, population.size
        snapshots = []
        for sweep in range(self.sweeps):
            sampler.sweep(population, torch.ones(objects), archive)
            if sweep >= self.sweeps // 2 and (sweep + 1) % EVERY == 0:
                snapshots.append(
                    Particles(*(t.clone() for t in fields_of(population.particles)))
                )
        side = (torch.arange(size) < size // 2).repeat(len(snapshots))
        return [
            (join([s[slice(o * size, (o + 1) * size)] for s in snapshots]), side)
            for o in range(objects)
        ]

    def _finish(
        self, particles: Particles, own: Photometry, halves: Tensor, generator: torch.Generator
    ) -> dict[str, Any]:
        labels, observable, log_weight = self.forward.complete(particles, own, generator)
        log_weight[~torch.isfinite(log_weight)] = -torch.inf
        share = effective(log_weight) / len(log_weight)
        weight = torch.softmax(log_weight.double(), 0).numpy()
        return {
            "particles": particles, "labels": labels, "observable": observable,
            "weight": weight, "half": halves.numpy(), "share": share,
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
        size = self.particles // 2
        rows = torch.arange(number).repeat_interleave(size)
        start = truth[rows]
        start = Particles(*(t.clone() for t in fields_of(start)))
        own = photometry[torch.arange(number)]
        like = self.forward.log_likelihood(truth[torch.arange(number)], own)[rows]
        population = Population(start, like, own, size)
        archive = []
        for o in range(number):
            p = found[o]["particles"]
            pick = torch.randint(len(p), (512,), generator=generator)
            archive.append(p[pick])
        sampler = Sampler(self.forward, generator)
        kept = self._collect(sampler, population, join(archive))
        return {
            o: self._finish(p, own_rows(photometry, o, len(p)), halves, generator)
            for o, (p, halves) in enumerate(kept)
        }

    def _record(
        self,
        index: int,
        first: int,
        case: int,
        objects: Objects,
        rows: Tensor,
        photometry: Photometry,
        starts: list[dict[str, Any]],
        importance: dict[int, Any],
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


def one(
    name: str, found: dict[str, Any], truth: float, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """`summarise` for one object; a line's draws are those with the line inside the bands."""
    draws = found["labels"][name].double().numpy()
    use = found["observable"][name].numpy() & np.isfinite(draws) & (found["weight"] > 0)
    sides = found["half"][use]
    if use.sum() < 50 or min(sides.sum(), (~sides).sum()) < 10:
        nan = np.full(500, np.nan)
        return {
            "draws": nan, "log_density": nan, "score": np.array(np.nan),
            "score_wide": np.array(np.nan), "rank": np.array(np.nan),
            "score_halves": np.full(2, np.nan),
        }  # fmt: skip
    return summarise(name, draws[use], found["weight"][use], sides, truth, rng)


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
