"""Joint draws of a table's rows: which quantities, how many, and the columns of derived ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jpassed.annotation.derived import Derived, is_derived, load_derived, needed
from jpassed.annotation.order import chain
from jpassed.annotation.seeds import generators
from jpassed.posteriors.columns import column_name, make_column
from jpassed.posteriors.joint import JointSamples

if TYPE_CHECKING:
    from jpassed.annotation.joint import JointSampler
    from jpassed.annotation.task import Task

__all__ = ["DERIVED_DRAWS", "DrawPlan", "derived_columns", "plan_draws"]

DERIVED_DRAWS = 128
"""Draws from which medians and intervals of derived quantities are taken: they add about a tenth
of the posterior's own width to the error of the median."""

LEAST_DEFINED = 0.5
"""Share of the draws in which a derived quantity must have a meaning, else the row is masked."""

LEVELS = (0.16, 0.5, 0.84)


@dataclass(frozen=True)
class DrawPlan:
    """What is drawn together, for all rows of a task.

    Attributes
    ----------
    names : tuple of str
        Outputs that are drawn.
    n : int
        Draws of each row.
    sampler : JointSampler
    generators : dict
        Sources of random numbers; they go on from batch to batch.
    """

    names: tuple[str, ...]
    n: int
    sampler: JointSampler
    generators: dict[str, np.random.Generator]

    def draw(self, rows: slice) -> JointSamples:
        """Joint draws of some rows; batches have to come in the order of the rows."""
        return self.sampler.take(rows).sample(self.n, self.names, rng=self.generators)


def plan_draws(task: Task, samples: int, joint: bool, seed: int | None) -> DrawPlan | None:
    """The joint draws that the outputs of a task ask for; None if they ask for none.

    Parameters
    ----------
    task : Task
    samples : int
        Draws that go into columns.
    joint : bool
        Whether samples of several quantities are drawn together.
    seed : int or None
    """
    derived = tuple(name for name in task.outputs if is_derived(name))
    together = joint and samples > 0 and len(task.outputs) > 1
    names = task.outputs if together else derived
    if not names:
        return None
    count = max(samples, DERIVED_DRAWS) if derived else samples
    drawn = chain(["z", *needed(names)], vocabulary=task.model.vocabulary)
    return DrawPlan(names, count, task.sampler(), generators(drawn, seed))


def derived_columns(
    draws: JointSamples,
    names: Iterable[str],
    *,
    prefix: str,
    masked: Mapping[str, NDArray[np.bool_]],
    samples: int = 0,
) -> list[Any]:
    """Columns of derived quantities: ``jp_q``, ``_err``, ``_lo``, ``_hi``, ``_defined``.

    Parameters
    ----------
    draws : JointSamples
        Of N objects.
    names : iterable of str
    prefix : str
    masked : mapping of quantity to array (N,) of bool
        Rows without a result; rows in which a quantity means nothing in more than half of the
        draws are masked as well.
    samples : int
        Draws that are written, 0 for none.

    Returns
    -------
    list of Column or MaskedColumn
        Of a probability only ``jp_q`` and ``jp_q_defined``. A quantile that falls among draws
        whose logarithm does not exist is masked: with ``jp_q_lo`` masked, ``jp_q_hi`` is an upper
        limit.
    """
    out: list[Any] = []
    for name in names:
        out += _columns_of(load_derived()[name], draws, prefix, masked[name], samples)
    return out


def _columns_of(
    entry: Derived, draws: JointSamples, prefix: str, masked: NDArray[np.bool_], samples: int
) -> list[Any]:
    x = draws[entry.name]
    meaning = (~np.isnan(x)).mean(axis=1)
    mask = masked | (meaning < LEAST_DEFINED)
    label = column_name(entry.name, prefix=prefix)
    short = entry.description.split(";")[0].split(":")[0]
    common: dict[str, Any] = {
        "unit": entry.unit or None, "format": entry.format or None, "mask": mask
    }  # fmt: skip

    def column(suffix: str, values: Any, text: str, ucd: str, **settings: Any) -> Any:
        title = column_name(entry.name, suffix, prefix)
        return make_column(title, values, text, ucd, **{**common, **settings})

    found = []
    if entry.probability:
        found.append(column("", draws.mean(entry.name), entry.description, entry.ucd))
    else:
        low, middle, high = draws.quantile(entry.name, LEVELS).T
        with np.errstate(invalid="ignore"):
            half = 0.5 * (high - low)
        found += [
            column("", middle, f"{entry.description}; median of {draws.n_draws} draws", entry.ucd),
            column("err", half, f"Half the 16-84 % interval of {label}", f"stat.error;{entry.ucd}"),
            column("lo", low, f"16 % quantile of {label}, {short}", f"{entry.ucd};stat.min"),
            column("hi", high, f"84 % quantile of {label}, {short}", f"{entry.ucd};stat.max"),
        ]
    if entry.lines:
        text = f"Share of the draws in which {label} is a number"
        share = {"unit": None, "format": "%.3f", "mask": masked}
        found.append(column("defined", draws.defined(entry.name), text, "stat.value", **share))
    if samples:
        text = f"{samples} joint draws of {label}, {short}"
        found.append(column("samples", x[:, :samples], text, entry.ucd))
    return found
