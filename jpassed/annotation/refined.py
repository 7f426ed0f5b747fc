"""Refined posteriors of a task's objects: the network's draws, weighted by the photometry."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from jpassed.annotation.derived import derive, is_derived, needed
from jpassed.annotation.flag_limits import load_flag_limits
from jpassed.annotation.flags import Flag
from jpassed.annotation.inference import Predictor
from jpassed.annotation.output import PREFIX
from jpassed.annotation.reconstruction import zero_point_scatter
from jpassed.annotation.targets import line_out_of_range
from jpassed.annotation.task import Task
from jpassed.exceptions import InputError
from jpassed.filters import known_bands
from jpassed.posteriors import Posterior
from jpassed.posteriors.joint import JointSamples
from jpassed.refinement import Likelihood, PredictedBands, Proposal, Refiner, load_refinement
from jpassed.refinement.coordinates import Cosmology, from_coordinates
from jpassed.refinement.importance import effective_number, log_evidence, pareto_smoothed
from jpassed.refinement.marginals import marginal
from jpassed.surveys import LabelColumn, Photometry
from jpassed.tokens import BandLayout
from jpassed.vocabulary import load_vocabulary
from jpassed.vocabulary.lines import LINE_LIMITS

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["LEAST_DRAWS", "LEAST_EFFECTIVE", "ROW_COLUMNS", "RefinedBatch", "TaskRefiner"]

logger = logging.getLogger(__name__)

LEAST_DRAWS = 100
"""Fewest draws an object: fewer cannot be weighed."""

LEAST_EFFECTIVE = 10.0
"""Fewest effective draws of a refined posterior: below it the network's own one stays."""

AT_ONCE = 128
"""Objects whose draws are kept at a time: it bounds the memory."""

ROW_COLUMNS: dict[str, tuple[str, str]] = {
    f"{PREFIX}refine_efficiency": (
        "Effective share of the draws that the refinement weighed (Kish 1965); low values mark "
        f"objects that no model galaxy explains. Below {LEAST_EFFECTIVE:g} effective draws the "
        "posterior is not refined", "stat.fit.goodness"),
    f"{PREFIX}refine_logevidence": (
        "ln of the probability density of the photometry, in units of its errors, under the "
        "simulated galaxies", "stat.likelihood"),
    f"{PREFIX}refine_k": (
        "Shape of the tail of the weights (Vehtari et al. 2024); above 0.7 they are unreliable",
        "stat.fit.param"),
}  # fmt: skip
"""Columns of rows, their description and UCD."""


@dataclass(frozen=True)
class RefinedBatch:
    """Refined posteriors of some rows.

    Attributes
    ----------
    draws : dict of str to ndarray (N, n)
        Draws of the network's posterior, of every scalar kind.
    weight : ndarray (N, n)
        Their weights, which add to one.
    effective : ndarray (N,)
        Effective number of draws (Kish 1965) of the weights as they are.
    log_evidence : ndarray (N,)
        ln of the probability density of the photometry in units of its errors.
    pareto_k : ndarray (N,)
        Shape of the tail of the weights: above 0.7 they are not to be trusted.
    redshift_known : bool
        Whether a redshift is in the context of any row.
    """

    draws: dict[str, NDArray[np.float64]]
    weight: NDArray[np.float64]
    effective: NDArray[np.float64]
    log_evidence: NDArray[np.float64]
    pareto_k: NDArray[np.float64]
    redshift_known: bool = False

    @property
    def efficiency(self) -> NDArray[np.float64]:
        """Effective number of draws over their number (N,)."""
        return self.effective / self.weight.shape[1]

    @property
    def refined(self) -> NDArray[np.bool_]:
        """Objects (N,) with enough effective draws; the others have their draws unweighted."""
        return self.effective >= LEAST_EFFECTIVE

    def posterior(self, names: Sequence[str]) -> Posterior:
        """Marginal distributions of scalar kinds."""
        vocabulary = load_vocabulary()
        units = {name: vocabulary[name].unit for name in names}
        weight, n = self.weight, self.weight.shape[1]
        effective = np.where(self.refined, self.effective, n)
        found: dict[str, Any] = {
            name: marginal(self.draws[name], weight, effective, vocabulary[name])
            for name in names
        }
        return Posterior(found, units)

    def instead_of(self, posterior: Posterior) -> Posterior:
        """A network's posterior with all refined quantities in their place."""
        # A known redshift is what the draws are about; what is asked of it is the photometric one.
        left = {"z"} if self.redshift_known else set()
        names = [name for name in posterior.names if name in self.draws and name not in left]
        own = {name: posterior[name] for name in posterior.names}
        if names:
            refined = self.posterior(names)
            own |= {name: refined[name] for name in names}
        return Posterior(own, posterior.units)

    def joint(self, n: int, names: Sequence[str]) -> JointSamples:
        """n draws of the refined posterior, of kinds and derived quantities together.

        Raises
        ------
        InputError
            For a bandflux, which is not refined.
        """
        kinds = needed(names)
        without = [name for name in kinds if name not in self.draws]
        if without:
            raise InputError(
                f"refine: there are no refined draws of {', '.join(without)}; leave samples out, "
                "or ask joint=False"
            )
        vocabulary = load_vocabulary()
        # Equally spaced levels of the cumulative weight: fewer repeats than independent draws.
        level = (np.arange(n) + 0.5) / n
        pick = np.stack(
            [np.searchsorted(np.cumsum(w), level).clip(max=len(w) - 1) for w in self.weight]
        )
        pick = np.stack([np.random.default_rng(len(p)).permutation(p) for p in pick])
        values = {q: np.take_along_axis(self.draws[q], pick, axis=1) for q in kinds}
        z = np.take_along_axis(self.draws["z"], pick, axis=1)
        for q in set(kinds) & set(LINE_LIMITS):
            values[q] = np.where(line_out_of_range(q, z), np.nan, values[q])
        units = {q: vocabulary[q].unit for q in kinds}
        drawn = JointSamples(values, units, drawn=tuple(kinds))
        return derive(drawn, [name for name in names if is_derived(name)]).select(names)


class TaskRefiner:
    """Refines the posteriors of a task's objects.

    Parameters
    ----------
    task : Task
    n : int
        Draws an object.
    source : str, path or LoadedModel
        What the task's model was loaded from.
    seed : int or None
        The same seed gives a row the same draws, whatever the other rows.

    Raises
    ------
    InputError
        For too few draws, labels other than redshift in the context, or no band with a known
        transmission curve.
    ModelError
        If the model has no refinement of its own.
    """

    def __init__(self, task: Task, n: int, source: Any, seed: int | None = 0) -> None:
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < LEAST_DRAWS:
            raise InputError(
                f"refine: expected 0 or at least {LEAST_DRAWS} draws an object, got {n!r}"
            )
        others = [name for name in task.labels if name != "z"]
        if others:
            raise InputError(
                f"refine: the context may hold a redshift besides the bandfluxes, but not "
                f"{', '.join(others)}; leave them out, or annotate without refine"
            )
        size = AT_ONCE if task.batch_size is None else min(task.batch_size, AT_ONCE)
        self.task, self.n = replace(task, batch_size=size), int(n)
        self._rows = np.full((len(ROW_COLUMNS), len(task)), np.nan)
        self._failed = np.zeros(len(task), dtype=bool)
        from jpassed.filters import find_band  # synphot: not for those who do not refine

        self.refinement = load_refinement(task.model, source)
        self.predictor = Predictor(task.model, ("z",), task.passbands, task.device)
        self.columns = _usable(task.photometry)
        names = [task.photometry.bands[i] for i in self.columns]
        curves = [find_band(name) for name in names]
        predicted = PredictedBands(
            self.refinement.emulator,
            [(b.name, np.asarray(b.wave), np.asarray(b.throughput)) for b in curves],
            self.refinement.line_wave,
        )
        scatter = torch.from_numpy(zero_point_scatter(names).astype(np.float32))
        likelihood = Likelihood(predicted, scatter)
        self.refiner = Refiner(self.refinement.proposal.flow, self.refinement.prior, likelihood)
        self.layout = BandLayout.make(
            task.photometry.bands, task.photometry.pivot, task.photometry.width,
            self.predictor.network.config.patch_bands,
        )  # fmt: skip
        sequence = np.random.SeedSequence(seed)
        self._seed = int(sequence.generate_state(1, np.uint64)[0] >> 1)

    def batch(self, rows: slice) -> RefinedBatch:
        """Refined posteriors of some rows."""
        task = self.task
        context = self.predictor.context(task.photometry, {}, rows, self.layout)
        proposal = Proposal.of(
            self.predictor.network, self.refinement.proposal.read_out,
            self.refinement.proposal.flow, context.to(self.predictor.device),
            self.predictor.requests,
        )  # fmt: skip
        flux, error, observed = (
            torch.from_numpy(np.ascontiguousarray(values[rows][:, self.columns]))
            for values in (
                task.photometry.flux.astype(np.float32),
                task.photometry.error.astype(np.float32),
                task.photometry.observed,
            )
        )
        known = _known_redshift(task.labels, rows)
        parts = list(self._objects(proposal, (flux, error, observed), known, rows))
        theta = torch.cat([p[0] for p in parts])
        log_weight = np.concatenate([p[1] for p in parts])
        smoothed, shape = pareto_smoothed(log_weight)
        top = smoothed.max(axis=1, keepdims=True)
        weight = np.exp(smoothed - np.where(np.isfinite(top), top, 0.0))
        total = weight.sum(axis=1, keepdims=True)
        weight = np.where(total > 0, weight / np.where(total > 0, total, 1.0), 1.0 / self.n)
        effective = effective_number(log_weight)
        weight = np.where((effective >= LEAST_EFFECTIVE)[:, None], weight, 1.0 / self.n)
        labels = from_coordinates(theta, Cosmology())
        found = RefinedBatch(
            {q: v.double().numpy() for q, v in labels.items() if q != "mag"},
            weight, effective, log_evidence(log_weight), shape, "z" in task.labels,
        )  # fmt: skip
        self._rows[:, rows] = found.efficiency, found.log_evidence, found.pareto_k
        self._failed[rows] = ~found.refined
        return found

    def add_row_columns(self, table: QTable) -> None:
        """Add `ROW_COLUMNS` of the rows that were refined, and say in the flag where it failed."""
        from astropy.table import Column, MaskedColumn

        blind = ~self.task.photometry.observed.any(axis=1)
        for (name, (text, ucd)), values in zip(ROW_COLUMNS.items(), self._rows, strict=True):
            about = {"name": name, "description": text, "format": ".4g", "meta": {"ucd": ucd}}
            hidden = blind | ~np.isfinite(values)
            stored = np.where(hidden, np.nan, values).astype(np.float32)
            kept = MaskedColumn(stored, mask=hidden, **about) if hidden.any() else None
            table.add_column(Column(stored, **about) if kept is None else kept)
        flag = table[f"{PREFIX}flag"]
        flag[self._failed & ~blind] |= int(Flag.NOT_REFINED)
        with np.errstate(invalid="ignore"):
            weak = self._rows[0] < load_flag_limits().efficiency
        flag[weak & ~blind] |= int(Flag.LOW_EFFICIENCY)

    def _objects(
        self,
        proposal: Proposal,
        photometry: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
        known: tuple[torch.Tensor, torch.Tensor] | None,
        rows: slice,
    ) -> Iterator[tuple[torch.Tensor, NDArray[np.float64]]]:
        """Draws and log weights, one object after the other, each with random numbers of its own.

        An object's result then depends neither on the batches nor on its neighbours.
        """
        for i in range(len(photometry[0])):
            own = slice(i, i + 1)
            generator = torch.Generator()
            generator.manual_seed((self._seed + 1_000_003 * (rows.start + i)) % 2**63)
            one = Proposal(proposal.described[:, own], proposal.probability[own], proposal.edges)
            given = None if known is None else (known[0][own], known[1][own])
            flux, error, observed = (p[own] for p in photometry)
            found = self.refiner.refine(one, flux, error, observed, self.n, generator, given)
            yield found.theta, found.log_weight.numpy()


def _usable(photometry: Photometry) -> list[int]:
    """Columns of bands whose transmission curve is known."""
    known = known_bands()
    found = [i for i, name in enumerate(photometry.bands) if name in known]
    without = [name for name in photometry.bands if name not in known]
    if not found:
        raise InputError(
            "refine: no band with a known transmission curve; `jpassed.filters.known_bands` lists "
            "them. Annotate without refine"
        )
    if without:
        logger.warning(
            "%s: no transmission curve is known; refined posteriors use them in the proposal only",
            ", ".join(without[:8]),
        )
    return found


def _known_redshift(
    labels: Mapping[str, LabelColumn], rows: slice
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """ln(1+z) and its error of the rows, NaN where none is known."""
    if "z" not in labels:
        return None
    column = labels["z"]
    seen = np.asarray(column.observed[rows])
    z = np.where(seen, column.value[rows], np.nan).astype(float)
    error = np.where(seen, np.nan_to_num(column.error[rows]), np.nan).astype(float)
    return torch.from_numpy(np.log1p(z)), torch.from_numpy(error / (1.0 + z))
