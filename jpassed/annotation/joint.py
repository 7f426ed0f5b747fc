"""Joint posteriors by any-order requests: draw a quantity, put it into the context, ask the next.

``p(a, b, c | bands) = p(a | bands) p(b | bands, a) p(c | bands, a, b)``: the model has been trained
with any labels in its context, so each factor is one of its answers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from jpassed.annotation.copies import (
    Copies,
    log_density,
    measured_draws,
    questions,
    redshift_of,
)
from jpassed.annotation.derived import compute, is_derived, load_derived, needed
from jpassed.annotation.inference import Predictor
from jpassed.annotation.order import chain, leans_on, most_labels
from jpassed.annotation.seeds import generators, skip
from jpassed.annotation.targets import line_out_of_range
from jpassed.exceptions import InputError
from jpassed.nn import Observed
from jpassed.posteriors import Distribution
from jpassed.posteriors.joint import JointSamples, Seed
from jpassed.surveys import LabelColumn, Photometry
from jpassed.tokens import BandLayout, Context, build_context, build_requests
from jpassed.vocabulary import split_quantity
from jpassed.vocabulary.lines import LINE_LIMITS, rest_wavelength
from jpassed.vocabulary.vocabulary import BANDFLUX

__all__ = ["CONTEXTS", "JointSampler"]

CONTEXTS = 4096
"""Contexts that go through the network at a time: draws x objects. It bounds the memory."""

GOLDEN = 0.5 * (np.sqrt(5.0) - 1.0)

FloatArray = NDArray[np.float64]


class JointSampler:
    """Draws quantities of N objects together, and knows the density of what it draws.

    Parameters
    ----------
    predictor : Predictor
        The model.
    photometry : Photometry
        Bands of the context.
    labels : mapping, optional
        Labels of the context, by quantity. One without an error is a point: it is what is
        "drawn" of this quantity. One with an error is a measurement: draws of the quantity follow
        the model's posterior without it, times its likelihood.
    contexts : int
        Contexts in memory at a time.
    most : int, optional
        Labels in the context of a request at most; by default as many as the model saw beside
        bands in its training.

    Notes
    -----
    Recalibrations of the model's card were fitted to marginal posteriors; they apply to the
    quantity that is drawn first.
    """

    def __init__(
        self,
        predictor: Predictor,
        photometry: Photometry,
        labels: Mapping[str, LabelColumn] | None = None,
        *,
        contexts: int = CONTEXTS,
        most: int | None = None,
    ) -> None:
        if contexts < 1:
            raise InputError(f"contexts: expected a positive number, got {contexts}")
        self.predictor, self.photometry = predictor, photometry
        self.labels = dict(labels or {})
        self.contexts = contexts
        self.most = most_labels(predictor.model.card) if most is None else most
        self.rows = np.arange(len(photometry))
        self.layout = BandLayout.make(
            photometry.bands, photometry.pivot, photometry.width,
            predictor.network.config.patch_bands,
        )  # fmt: skip
        self._column = {name: i for i, name in enumerate(predictor.scaling.names)}

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: Any) -> JointSampler:
        """The sampler of some of the objects: `rows` is a slice, an index array or a mask."""
        other = copy.copy(self)
        other.rows = self.rows[rows]
        return other

    # ------------------------------------------------------------------ what users call

    def sample(
        self,
        n: int,
        names: Sequence[str],
        *,
        order: Sequence[str] | None = None,
        rng: Seed | Mapping[str, np.random.Generator] = None,
        redshifts: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> JointSamples:
        """n joint draws; `names`, `order`, `rng`, `redshifts`, `progress` as `Posterior.sample`."""
        parts = []
        for rows, draws in self.batches(n, names, order=order, rng=rng, redshifts=redshifts):
            parts.append(draws)
            if progress is not None:
                progress(rows.stop, len(self))
        return JointSamples.concatenate(parts)

    def batches(
        self,
        n: int,
        names: Sequence[str],
        *,
        order: Sequence[str] | None = None,
        rng: Seed | Mapping[str, np.random.Generator] = None,
        redshifts: int | None = None,
        start: int = 0,
    ) -> Iterator[tuple[slice, JointSamples]]:
        """The same draws a few objects at a time, to write while they come, and to go on later.

        Parameters
        ----------
        n, names, order, redshifts
            As in `jpassed.Posterior.sample`.
        rng : Generator, int, or mapping of quantity to Generator, optional
            With a seed (an int) the draws of an object do not depend on how objects are batched.
        start : int
            First object: with the same seed the draws are those that an uninterrupted run would
            have given it.

        Yields
        ------
        rows : slice
        draws : JointSamples

        Raises
        ------
        InputError
            If `n` is not positive, or there is no object `start`.
        """
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise InputError(f"the number of draws must be a whole number from 1 on, got {n!r}")
        if not 0 <= start < len(self):
            raise InputError(f"start: expected an object from 0 to {len(self) - 1}, got {start}")
        asked = tuple(dict.fromkeys([names] if isinstance(names, str) else names))
        if not asked:
            raise InputError("expected at least one quantity to draw, got none")
        drawn = chain(["z", *needed(asked)], order, self.predictor.vocabulary)
        strata = n if redshifts is None else min(int(redshifts), n)
        if strata < 1:
            raise InputError(f"redshifts: expected a positive number, got {redshifts}")
        if redshifts is not None and drawn[0] != "z":
            raise InputError("redshifts: only where redshift is drawn first")
        source = dict(rng) if isinstance(rng, Mapping) else generators(drawn, rng)
        for name in drawn:
            skip(source[name], start * (strata if name == "z" and strata < n else n))
        size = max(1, self.contexts // n)
        for first in range(start, len(self), size):
            rows = slice(first, min(first + size, len(self)))
            values, density = self._draw(self.rows[rows], drawn, n, strata, source)
            yield rows, self._samples(values, density, asked, drawn)

    def logpdf(
        self, values: Mapping[str, ArrayLike], *, order: Sequence[str] | None = None
    ) -> FloatArray:
        """Joint log density of given values (N,), see `jpassed.Posterior.joint_logpdf`.

        Parameters
        ----------
        values : mapping
            Quantity to values (N,) in its unit.
        order : sequence of str, optional

        Returns
        -------
        ndarray (N,)

        Raises
        ------
        InputError
            If the values of a quantity have another shape, or it is in the context, or derived.
        """
        truth = {name: np.asarray(v, dtype=np.float64) for name, v in values.items()}
        for name, x in truth.items():
            if x.shape != (len(self),):
                raise InputError(f"{name}: expected one value per object, got {x.shape}")
            if name in self.labels:
                raise InputError(f"{name} is in the context already: its density is not asked")
        drawn = chain(needed(truth), order, self.predictor.vocabulary)
        if set(drawn) != set(truth):
            raise InputError("derived quantities have no density; give what they are made of")
        parts = []
        for first in range(0, len(self), self.contexts):
            rows = slice(first, first + self.contexts)
            fixed = {name: x[rows] for name, x in truth.items()}
            parts.append(self._draw(self.rows[rows], drawn, 1, 1, {}, fixed)[1][:, 0])
        return np.concatenate(parts)

    # ------------------------------------------------------------------ inner workings

    def _samples(
        self,
        values: Mapping[str, FloatArray],
        density: FloatArray,
        asked: Sequence[str],
        drawn: Sequence[str],
    ) -> JointSamples:
        vocabulary, derived = self.predictor.vocabulary, load_derived()
        found, units = {}, {}
        for name in asked:
            found[name] = compute(name, values) if is_derived(name) else values[name]
            units[name] = derived[name].unit if is_derived(name) else vocabulary[name].unit
        return JointSamples(found, units, log_density=density, drawn=drawn)

    def _draw(
        self,
        rows: NDArray[np.intp],
        drawn: Sequence[str],
        n: int,
        strata: int,
        source: Mapping[str, np.random.Generator],
        fixed: Mapping[str, FloatArray] | None = None,
    ) -> tuple[dict[str, FloatArray], FloatArray]:
        """Draws (b, n) of every quantity of a chain, and their log density; or that of `fixed`."""
        objects = len(rows)
        base, embedded = self._observed(rows)
        state = Copies.of(self.labels, self._column, rows, n)
        density = np.zeros(objects * n)
        values: dict[str, FloatArray] = {}
        before: list[str] = []
        # How many copies of an object differ: those that do not ask the same question once.
        distinct = 1
        for name in drawn:
            column = self._column.get(name)
            x = None if fixed is not None else state.exact(column)
            if x is None:
                at, spread = questions(objects, n, distinct)
                kept = leans_on(name, before, self._free())
                answer = self._ask(name, base, embedded, at // n, state, at, kept)
                if 1 < distinct < n:
                    answer = answer[spread]
                few = strata if name == "z" and distinct == 1 else n
                if fixed is not None:
                    x = fixed[name]
                elif distinct == 1:
                    x = self._first(answer, state, column, at, n, few, source[name])
                else:
                    x = self._next(answer, state, column, source[name])
                if column is not None:
                    x = self._remember(name, column, x, state, values)
                    before.append(name)
                    distinct = few if distinct == 1 else n
                density += log_density(answer, x, state, column)
            values[name] = x
        for name in set(values) & set(LINE_LIMITS):  # redshift may have come after them
            values[name] = np.where(
                line_out_of_range(name, redshift_of(values, state, self._column["z"])),
                np.nan,
                values[name],
            )
        return {q: x.reshape(objects, n) for q, x in values.items()}, density.reshape(objects, n)

    def _free(self) -> int:
        """How many drawn labels fit into a context beside the user's own."""
        return max(1, self.most - len(self.labels))

    def _observed(self, rows: NDArray[np.intp]) -> tuple[Context, Observed]:
        """Context without labels, and its tokens before the trunk."""
        p = self.photometry
        chosen = replace(
            p,
            flux=p.flux[rows],
            error=p.error[rows],
            observed=p.observed[rows],
            bad_errors=p.bad_errors[rows],
        )
        whole = slice(0, len(rows))
        context = self.predictor.context(chosen, {}, whole, self.layout).to(self.predictor.device)
        return context, self.predictor.embed(context)

    def _ask(
        self,
        name: str,
        base: Context,
        embedded: Observed,
        objects: NDArray[np.intp],
        state: Copies,
        at: NDArray[np.intp],
        kept: Sequence[str],
    ) -> Distribution:
        """What the model says of one quantity, for some copies of the objects."""
        predictor = self.predictor
        shown = np.zeros(len(self._column), dtype=bool)
        shown[[self._column[q] for q in (*kept, *self.labels)]] = True
        if name in self._column:
            shown[self._column[name]] = False
        given = state.given[at] & shown
        index = torch.from_numpy(objects).to(predictor.device)
        labels = self._labels(state.value[at], state.error[at], given)
        # The bands themselves are read for bandfluxes and lines alone: see LocalReadout.
        local = split_quantity(name)[0] == BANDFLUX or rest_wavelength(name) > 0
        context = Context(
            base.patch[index] if local and base.patch is not None else None,
            base.bands[index] if local else labels.bands,
            labels.labels.to(predictor.device),
            base.log_scale[index],
            base.has_scale[index],
        )
        requests = build_requests([name], predictor.vocabulary, predictor.passbands)
        known = embedded.take(index)
        prediction = predictor.ask(context, requests.to(predictor.device), known).prediction
        log_scale = context.log_scale.cpu().numpy().astype(np.float64)
        found = predictor.distributions(prediction, log_scale, recalibrate=not kept)
        return found[name]

    def _labels(
        self, value: NDArray[np.float32], error: NDArray[np.float32], given: NDArray[np.bool_]
    ) -> Context:
        """A context of labels alone."""
        none = torch.zeros((len(value), 0))
        return build_context(
            none, none, none.bool(), BandLayout.make((), (), (), ()),
            vocabulary=self.predictor.vocabulary,
            scaling=self.predictor.scaling,
            label_value=torch.from_numpy(value),
            label_error=torch.from_numpy(error),
            label_given=torch.from_numpy(given),
        )  # fmt: skip

    def _first(
        self,
        answer: Distribution,
        state: Copies,
        column: int | None,
        at: NDArray[np.intp],
        n: int,
        strata: int,
        rng: np.random.Generator,
    ) -> FloatArray:
        """Draws of what is asked first: n of every object, `strata` of them different."""
        objects = len(answer)
        measured = column is not None and bool(state.own_given[:, column].any())
        if strata == n and not measured:
            return answer.sample(n, rng).ravel()
        uniform = rng.uniform(np.finfo(float).eps, 1.0, (objects, strata))
        if strata < n:
            uniform = (np.arange(strata) + uniform) / strata
        x = answer.values_at(uniform)
        if column is not None and measured:
            x = measured_draws(answer, x, uniform, state, column, at)
        if strata < n:
            # Copies of a redshift are spread over the draws, so that a part of them is fair too.
            mixed = np.argsort(np.arange(strata) * GOLDEN % 1.0)
            x = np.tile(x[:, mixed], (1, -(-n // strata)))[:, :n]
        return x.ravel()

    def _next(
        self, answer: Distribution, state: Copies, column: int | None, rng: np.random.Generator
    ) -> FloatArray:
        """One draw of every copy."""
        if column is None or not state.own_given[:, column].any():
            return answer.sample(1, rng)[:, 0]
        uniform = rng.uniform(np.finfo(float).eps, 1.0, (len(answer), 1))
        x = answer.values_at(uniform)
        every = np.arange(len(answer))
        return measured_draws(answer, x, uniform, state, column, every)[:, 0]

    def _remember(
        self,
        name: str,
        column: int,
        x: FloatArray,
        state: Copies,
        values: Mapping[str, FloatArray],
    ) -> FloatArray:
        """Put draws into the context as exact labels; lines beyond the bands have none."""
        z = redshift_of(values, state, self._column["z"])
        x = np.where(line_out_of_range(name, z), np.nan, x)
        usable = np.isfinite(x)
        state.value[:, column] = np.where(usable, x, 0.0)
        state.error[:, column] = 0.0
        state.given[:, column] = usable
        return x
