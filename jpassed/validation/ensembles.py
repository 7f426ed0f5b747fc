"""Posteriors of redshift for `qp` (LSST DESC), the exchange format of photometric redshifts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jpassed.exceptions import InputError, MissingDependencyError
from jpassed.posteriors import Posterior
from jpassed.posteriors.grids import PdfGrid
from jpassed.validation.from_columns import column_edges, column_matrix
from jpassed.vocabulary import load_vocabulary

if TYPE_CHECKING:
    from jpassed.validation.assessment import Evaluation
    from jpassed.vocabulary import Vocabulary

__all__ = ["qp_ensemble", "require_qp"]


def qp_ensemble(
    source: Evaluation | Posterior | Any,
    quantity: str = "z",
    vocabulary: Vocabulary | None = None,
) -> Any:
    """Posteriors of one quantity as a `qp.Ensemble` of histograms.

    Parameters
    ----------
    source : Evaluation, Posterior or Table
        An evaluation with ``densities=True``, what `jpassed.annotation.infer` gives, or a table
        that was annotated with ``pdf=True``.
    quantity : str
    vocabulary : Vocabulary, optional
        Kinds of the model that a `Posterior` is of (`LoadedModel.vocabulary`), where it has kinds
        of its own.

    Returns
    -------
    qp.Ensemble
        Of all rows, in their order; ``ancil`` has the medians as ``zmedian`` (of other
        quantities ``median``), and of an evaluation the truth as ``truth``. A row without a
        prediction has a flat density, and ``predicted`` 0.

    Raises
    ------
    MissingDependencyError
        Without `qp` (``pip install qp-prob``).
    InputError
        If `source` has no posteriors of this quantity.
    """
    qp = require_qp()
    edges, values, median, truth = _tabulated(source, quantity, vocabulary)
    good = np.isfinite(values).all(axis=1) & (values.sum(axis=1) > 0)
    filled = np.where(good[:, None], values, 1.0)
    area = (filled * np.diff(edges)).sum(axis=1, keepdims=True)
    ancil = {
        "zmedian" if quantity == "z" else "median": np.where(good, median, np.nan),
        "predicted": good.astype(np.int8),
    }
    if truth is not None:
        ancil["truth"] = truth
    return qp.Ensemble(qp.hist, data={"bins": edges, "pdfs": filled / area}, ancil=ancil)


def require_qp() -> Any:
    """The package `qp`.

    Raises
    ------
    MissingDependencyError
        Where it is not installed.
    """
    try:
        import qp
    except ImportError:
        qp = None
    if not hasattr(qp, "Ensemble"):  # a folder named qp where Python was started is no package
        raise MissingDependencyError(
            "p(z) for qp needs the package qp: pip install 'jpassed[qp]' (or qp-prob)"
        )
    return qp


def _tabulated(
    source: Any, quantity: str, vocabulary: Vocabulary | None
) -> tuple[Any, Any, Any, Any]:
    """Edges, densities, medians, and the truth if it is known."""
    from astropy.table import Table

    if isinstance(source, Posterior):
        words = load_vocabulary() if vocabulary is None else vocabulary
        grid = PdfGrid.of(words[quantity])
        return grid.edges, grid.densities(source[quantity]), source.median(quantity), None
    if isinstance(source, Table):
        name = f"jp_{quantity}_pdf"
        if name not in source.colnames:
            raise InputError(f"the table has no column {name}: annotate with pdf=True (--pdf)")
        median = column_matrix(source, f"jp_{quantity}")[:, 0]
        return column_edges(source, name), column_matrix(source, name), median, None
    compared = getattr(source, "compared", {}).get(quantity)
    if compared is None or compared.densities is None:
        raise InputError(
            f"no posteriors of {quantity!r}: evaluate with densities=True, of columns with "
            f"jp_{quantity}_pdf or with a model"
        )
    found = compared.densities
    return found.edges, found.values, compared.scores.median, compared.truth.value
