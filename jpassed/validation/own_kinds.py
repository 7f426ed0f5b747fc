"""Kinds that only the model of an annotated table knew, told from its columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from jpassed.posteriors.columns import column_name
from jpassed.surveys.columns import column_unit
from jpassed.vocabulary import Kind, Vocabulary

__all__ = ["with_annotated_kinds"]


def with_annotated_kinds(vocabulary: Vocabulary, table: Any, names: Iterable[str]) -> Vocabulary:
    """A vocabulary with the kinds of a table's own columns ``jp_<name>``.

    A fine-tuned model may have learned kinds that no other model has. Its columns say what they
    are, and are evaluated without the model; limits are not in them.

    Parameters
    ----------
    vocabulary : Vocabulary
    table : astropy.table.Table
    names : iterable of str
        Quantities wanted; those that are in `vocabulary`, or have no column, add nothing.
    """
    added = []
    for name in names:
        column = column_name(name)
        if name in vocabulary or ":" in name or column not in table.colnames:
            continue
        unit = column_unit(table[column])
        said = str(table[column].info.description or "").rstrip(".")
        added.append(
            Kind(
                name=name,
                unit="" if unit is None else unit.to_string(),
                ucd="stat.value",
                support="real",
                scale="linear",
                loc=0.0,
                width=1.0,
                softening=1.0,
                lower=-np.inf,
                upper=np.inf,
                format="%.4g",
                description=said or f"{name}, a kind of its model",
                reference="columns of the table",
            )  # fmt: skip
        )
    return vocabulary.extended(added)
