"""What a reader of the figures of an evaluation must know: notes, and warnings among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jpassed.evaluation import Truth
from jpassed.evaluation.row_sketch import share_of_rows
from jpassed.validation.compared import Compared
from jpassed.validation.selections import Axis

if TYPE_CHECKING:
    from jpassed.nn.checkpoint import LoadedModel
    from jpassed.surveys import Photometry

__all__ = ["FEW", "notes_of", "warnings_of"]

FEW = 50
"""Objects below which figures mean little: a scatter of 50 is known to some 15 %."""


def warnings_of(
    table: Any,
    compared: Mapping[str, Compared],
    model: LoadedModel | None = None,
    photometry: Photometry | None = None,
) -> list[str]:
    """What speaks against the figures: too few objects, text for numbers, rows of the model's own.

    Parameters
    ----------
    table : astropy.table.Table
    compared : dict of str to Compared
    model, photometry : optional
        What was asked, and the bandfluxes that it was asked with.
    """
    found = []
    for name, one in compared.items():
        used = int(one.use.sum())
        if used < FEW:
            found.append(
                f"{name}: {used} {'object is' if used == 1 else 'objects are'} compared; figures "
                f"of fewer than about {FEW} mean little."
            )
        for column in (one.truth.column, one.truth.error_column):
            if column is not None and np.asarray(table[column]).dtype.kind in "OSU":
                found.append(
                    f"{name}: column {column!r} holds text; what reads as a number was taken, the "
                    "rest counts as missing."
                )
        if model is not None and photometry is not None:
            found += _own_rows(one.truth, model.card, photometry)
    return found


def _own_rows(true: Truth, card: Mapping[str, Any], photometry: Photometry) -> Iterator[str]:
    """Whether the model was adapted with these rows, by what its card tells of them."""
    done = [
        *(("calibrated", record, record.get("quantities", {}).get(true.quantity, {}))
          for record in card.get("calibrations") or []),
        *(("fine-tuned", record, {"taken": record.get("accepted"), **record.get("row_sketches", {})
           .get(true.quantity, {})}) for record in card.get("finetuning") or []),
    ]  # fmt: skip
    for how, record, about in done:
        sketch = about.get("row_sketch")
        if not sketch or not about.get("taken"):
            continue
        share = share_of_rows(sketch, true.value, photometry.flux, photometry.observed)
        if share > 0:
            table = f" ({record['table']})" if record.get("table") else ""
            yield (
                f"{true.quantity}: these rows were used to adapt the model: it was {how} with a "
                f"sample{table} of which {_percent(share)} is in this table. The "
                "figures are better than those of other objects; evaluate with rows that it never "
                "saw."
            )


def _percent(share: float) -> str:
    return "all" if share == 1 else f"about {max(1, round(100 * share))} %"


def notes_of(
    compared: Mapping[str, Compared], axes: Sequence[Axis], flag: NDArray[np.int32] | None
) -> list[str]:
    """What was left out, and what the figures are of."""
    notes = []
    for name, one in compared.items():
        count = one.counts()
        left = {
            "without a usable truth": count["no_truth"],
            "whose truth is outside the range of the quantity, which no posterior can reach": count[
                "truth_outside_range"
            ],
            "without a prediction": count["not_predicted"],
        }
        said = "; ".join(f"{n} {what}" for what, n in left.items() if n) or "none is left out"
        notes.append(f"{name}: {count['used']} of {count['rows']} objects are used; {said}.")
        if not one.has_posteriors:
            notes.append(
                f"{name}: no posteriors are at hand (columns {one.source.removeprefix('columns ')} "
                "alone), so PIT, CRPS and log score are not known."
            )
        for axis in axes:
            outside = int((axis.outside & one.use).sum())
            if outside:
                notes.append(f"{name}: {outside} objects are in no bin of {axis.name}.")
    if flag is not None:
        one = next(iter(compared.values()))
        notes.append(
            f"{int((flag[one.use] != 0).sum())} of the {int(one.use.sum())} objects used have a "
            "flag (jp_flag); they are in all figures but those of the selection 'no flag'."
        )
    with_errors = [one for one in compared.values() if one.truth.has_errors]
    if any(one.has_posteriors for one in with_errors):
        notes.append(
            "The truth has errors: PIT, coverage, CRPS and log score are those of the measured "
            "value, posteriors convolved with its error. Residuals include the errors."
        )
    elif with_errors:
        notes.append("The truth has errors: residuals and coverage include them.")
    return notes
