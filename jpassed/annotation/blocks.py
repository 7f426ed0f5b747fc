"""The network, a block of objects at a time: an object's numbers do not depend on its company.

Matrix libraries choose the order of their sums by the number of rows, and padding to the longest
context of a batch changes it, too. So on a processor every block has the same number of rows (the
last is filled up), and the objects of a block have their tokens padded to the same length, which
depends on the object alone: to the last bit, a row has the same predictions in any table, page
or partition, beside any others. Blocks are as large as a processor's cache likes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from jpassed.annotation.threads import block_threads, threads, turn
from jpassed.nn import Observed, Prediction, Questions, SEDModel
from jpassed.tokens import Context, Requests

__all__ = ["BLOCK", "Answer", "ask", "embed", "in_blocks"]

BLOCK = {"cpu": 128, "cuda": 8192}
"""Objects in a block: what stays in a processor's cache, and what fills a GPU."""


T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """What a network says of B objects.

    Attributes
    ----------
    prediction : Prediction
    vector : Tensor or None
        (B, W) float32 vector of the patch; None for a model without a dense readout.
    """

    prediction: Prediction
    vector: Tensor | None


def ask(
    network: SEDModel,
    context: Context,
    requests: Requests,
    observed: Observed | None = None,
    questions: Questions | None = None,
) -> Answer:
    """Posterior parameters of every request for every object.

    Parameters
    ----------
    network : SEDModel
    context : Context
        Of B objects, on the network's device.
    requests : Requests
        On the same device.
    observed : Observed, optional
        What `embed` gave for the same objects, to save its work.
    questions : Questions, optional
        What ``network.prepare(requests)`` gave.
    """

    asked = network.prepare(requests) if questions is None else questions

    def work(block: Context, rows: Tensor | slice, singles: int) -> tuple[Tensor | None, ...]:
        known = _embed(network, block, singles) if observed is None else observed.take(rows)
        prediction = network(block, requests, known, asked)
        return prediction.parameters, prediction.redshift_logits, known.dense

    parameters, logits, vector = in_blocks(context, work, with_bands=observed is None)
    if parameters is None:
        raise RuntimeError("the network gave no parameters")
    dense = None if vector is None else vector.float()
    return Answer(Prediction(requests.names, parameters, logits), dense)


def embed(network: SEDModel, context: Context) -> Observed:
    """Tokens of all but the labels, before the trunk: what contexts of other labels share."""

    def work(block: Context, rows: Tensor | slice, singles: int) -> tuple[Tensor | None, ...]:
        return tuple(network.embed_observed(block))

    tokens, present, dense = in_blocks(context, work, with_bands=False)
    if tokens is None or present is None:
        raise RuntimeError("the network gave no tokens")
    return Observed(tokens, present, dense)


Work = Callable[[Context, Tensor | slice, int], tuple[Tensor | None, ...]]


def in_blocks(
    context: Context, work: Work, *, with_bands: bool = True
) -> tuple[Tensor | None, ...]:
    """Results of `work` for all objects of a context, asked block by block.

    Parameters
    ----------
    context : Context
        Of B objects.
    work : callable
        Gets a context of some objects, their rows, and the number of single-band tokens that they
        need. Gives tensors (or None) with a row for each of these objects, always in the same
        number and of the same shape but for the rows.
    with_bands : bool
        Whether objects with different numbers of single bands are to be kept apart.

    Returns
    -------
    tuple of Tensor or None
        (B, ...) each, in the order of the objects.
    """
    size = BLOCK.get(context.log_scale.device.type, BLOCK["cpu"])
    even = context.log_scale.device.type == "cpu"
    jobs = [
        (rows, singles, labels, start, count)
        for rows, singles, labels in _alike(context, with_bands)
        for count in (len(context) if rows is None else len(rows),)
        for start in range(0, count, size)
    ]
    if not jobs:
        raise ValueError("expected a context of at least one object")

    def one(job: Job) -> tuple[slice | Tensor, int, tuple[Tensor | None, ...]]:
        rows, singles, labels, start, count = job
        own, kept = _rows_of_block(rows, start, count, size, even, context)
        block = context[own]
        block = replace(block, labels=block.labels.packed(labels))
        where = slice(start, start + kept) if rows is None else rows[start : start + kept]
        return where, kept, work(block, own, singles)

    gathered: list[Tensor | None] | None = None
    with turn():
        for where, kept, found in _each(one, jobs, threads() if even else 1):
            if gathered is None:
                gathered = [
                    None if t is None else t.new_empty((len(context), *t.shape[1:])) for t in found
                ]
            for whole, part in zip(gathered, found, strict=True):
                if whole is not None and part is not None:
                    whole[where] = part[:kept]
    return tuple(gathered or ())


Job = tuple[Tensor | None, int, int, int, int]


def _each(work: Callable[[Job], T], jobs: list[Job], threads: int) -> Iterator[T]:
    """Results in the order of the jobs, each by one thread: see `jpassed.annotation.threads`."""
    if threads == 1:
        yield from map(work, jobs)
        return
    inference = torch.is_inference_mode_enabled()

    def alone(job: Job) -> T:
        with torch.inference_mode(inference):
            return work(job)

    yield from block_threads(threads).map(alone, jobs)


def _rows_of_block(
    rows: Tensor | None, start: int, count: int, size: int, even: bool, context: Context
) -> tuple[Tensor | slice, int]:
    """Rows of one block, filled up with its last if blocks are to be even; how many count."""
    stop = min(start + size, count)
    if stop - start == size or not even:
        return (slice(start, stop) if rows is None else rows[start:stop]), stop - start
    at = torch.arange(start, start + size, device=context.log_scale.device).clamp(max=count - 1)
    return (at if rows is None else rows[at]), stop - start


def _alike(context: Context, with_bands: bool) -> Iterator[tuple[Tensor | None, int, int]]:
    """Objects that need as many tokens: their rows (None for all), single bands and labels."""
    bands, labels = context.bands.kind.shape[1], context.labels.kind.shape[1]
    singles = torch.full_like(context.has_scale, bands, dtype=torch.int64)
    if with_bands and bands:
        singles = _rounded(context.bands.present.sum(1)).clamp(max=bands)
    need = singles * (labels + 1) + context.labels.present.sum(1)
    for key in need.unique().tolist():
        same = need == key
        rows = None if bool(same.all()) else same.nonzero().squeeze(1)
        yield rows, int(key) // (labels + 1), int(key) % (labels + 1)


def _rounded(number: Tensor) -> Tensor:
    """Up to the next power of two: few different lengths, and no object padded to twice its own."""
    steps = torch.tensor([0, *(1 << k for k in range(31))], device=number.device)
    return steps[torch.bucketize(number, steps)]


def _embed(network: SEDModel, context: Context, singles: int) -> Observed:
    if singles >= context.bands.kind.shape[1]:
        return network.embed_observed(context)
    return network.embed_observed(replace(context, bands=context.bands.packed(singles)))
