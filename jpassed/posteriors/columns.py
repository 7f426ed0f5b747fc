"""From posteriors to table columns with unit, description, UCD and format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jpassed.exceptions import InputError
from jpassed.posteriors.grids import PdfGrid
from jpassed.posteriors.posterior import Posterior
from jpassed.vocabulary import Vocabulary, load_vocabulary, split_quantity

if TYPE_CHECKING:
    from astropy.table import Column, MaskedColumn

__all__ = [
    "LEVELS",
    "ColumnText",
    "band_ucd",
    "column_name",
    "column_texts",
    "grid_meta",
    "make_column",
    "posterior_columns",
    "posterior_values",
    "stored_values",
]

#: Upper pivot wavelength in Å, and UCD1+ word of the range.
_BAND_WORDS = (
    (2000.0, "em.UV.100-200nm"),
    (3000.0, "em.UV.200-300nm"),
    (4000.0, "em.opt.U"),
    (5000.0, "em.opt.B"),
    (6000.0, "em.opt.V"),
    (7500.0, "em.opt.R"),
    (10000.0, "em.opt.I"),
    (15000.0, "em.IR.J"),
    (20000.0, "em.IR.H"),
    (30000.0, "em.IR.K"),
    (40000.0, "em.IR.3-4um"),
    (80000.0, "em.IR.4-8um"),
    (150000.0, "em.IR.8-15um"),
    (300000.0, "em.IR.15-30um"),
)
LEVELS = (0.16, 0.5, 0.84)
"""Probabilities below ``jp_q_lo``, ``jp_q`` and ``jp_q_hi``."""

_SUFFIXES = ("", "err", "lo", "hi")


@dataclass(frozen=True)
class ColumnText:
    """What a table says of a column.

    Attributes
    ----------
    name, description, ucd : str
    unit, format : str or None
    """

    name: str
    description: str
    ucd: str
    unit: str | None
    format: str | None

    def column(self, values: NDArray[np.float32]) -> Any:
        """The column of some values, which are not copied: masked where they are NaN."""
        from astropy.table import Column, MaskedColumn

        settings = {
            "name": self.name,
            "unit": self.unit,
            "description": self.description,
            # astropy prints what is under the mask of a quantity whose format begins with "%".
            "format": self.format.removeprefix("%") if self.format else None,
            "meta": {"ucd": self.ucd},
        }
        hidden = np.isnan(values)
        if hidden.any():
            return MaskedColumn(values, mask=hidden, copy=False, **settings)
        return Column(values, copy=False, **settings)


def column_name(quantity: str, suffix: str = "", prefix: str = "jp_") -> str:
    """Column of a quantity: ``"z" -> "jp_z"``, ``"flux:J0660", "err" -> "jp_flux_J0660_err"``."""
    stem = prefix + quantity.replace(":", "_")
    return f"{stem}_{suffix}" if suffix else stem


def band_ucd(ucd: str, pivot: float | None) -> str:
    """UCD of a bandflux: `ucd` with the UCD1+ word of the spectral range of a pivot (Å)."""
    if pivot is None:
        return ucd
    word = next((word for limit, word in _BAND_WORDS if pivot < limit), None)
    return ucd if word is None else f"{ucd};{word}"


def posterior_columns(
    posterior: Posterior,
    vocabulary: Vocabulary | None = None,
    *,
    names: Iterable[str] | None = None,
    prefix: str = "jp_",
    masked: ArrayLike | Mapping[str, ArrayLike] | None = None,
    pivots: Mapping[str, float] | None = None,
    pdf: bool = False,
    samples: int = 0,
    rng: np.random.Generator | Mapping[str, np.random.Generator] | int | None = None,
    draws: Mapping[str, ArrayLike] | None = None,
) -> list[Column | MaskedColumn]:
    """Columns of the quantities of a posterior.

    For a quantity q: ``jp_q`` (median), ``jp_q_err`` (half the 16-84 % interval), ``jp_q_lo`` and
    ``jp_q_hi`` (16 and 84 % quantiles), with `pdf` ``jp_q_pdf`` of shape (N, bins), with `samples`
    ``jp_q_samples`` of shape (N, samples). Values are float32.

    Parameters
    ----------
    posterior : Posterior
    vocabulary : Vocabulary, optional
        Units, descriptions, UCDs, formats; the embedded one by default.
    names : iterable of str, optional
        Quantities, all by default.
    prefix : str
    masked : array (N,) of bool, or mapping of quantity to such arrays, optional
        Rows without a result. Values that are not finite are masked as well.
    pivots : mapping of band to Å, optional
        Pivot wavelengths of bands that jpassed does not know, for their UCD.
    pdf : bool
        Add tabulated densities (not of bandfluxes, which have no common grid). The bins are in
        the description, see `PdfGrid.parse`; `grid_meta` gives them for a table's meta.
    samples : int
        Number of draws, 0 for none.
    rng : numpy Generator, int, or mapping of quantity to Generator, optional
        Source of the draws. With one generator for each quantity the draws of a quantity do not
        depend on which others there are.
    draws : mapping of quantity to array (N, samples), optional
        Joint draws, which are written as they are.

    Returns
    -------
    list of Column or MaskedColumn
        MaskedColumn where something is masked; the UCD is in ``column.info.meta["ucd"]``.

    Raises
    ------
    UnknownNameError
        For a quantity that the posterior or the vocabulary does not have.
    InputError
        For a mask of the wrong shape or a negative number of samples.
    """
    words = vocabulary if vocabulary is not None else load_vocabulary()
    chosen = posterior.names if names is None else tuple(names)
    values = posterior_values(
        posterior, words, names=chosen, prefix=prefix, masked=masked, pdf=pdf, samples=samples,
        rng=rng, draws=draws,
    )  # fmt: skip
    texts = column_texts(
        chosen, words, prefix=prefix, pivots=pivots, pdf=pdf, samples=samples,
        joint=draws is not None,
    )  # fmt: skip
    return [text.column(values[text.name]) for text in texts]


def posterior_values(
    posterior: Posterior,
    vocabulary: Vocabulary | None = None,
    *,
    names: Iterable[str] | None = None,
    prefix: str = "jp_",
    masked: ArrayLike | Mapping[str, ArrayLike] | None = None,
    pdf: bool = False,
    samples: int = 0,
    rng: np.random.Generator | Mapping[str, np.random.Generator] | int | None = None,
    draws: Mapping[str, ArrayLike] | None = None,
    quantiles: Mapping[str, NDArray[np.float64]] | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Values of the columns of `posterior_columns` by their names, without a table.

    Parameters
    ----------
    posterior, vocabulary, names, prefix, masked, pdf, samples, rng, draws
        See `posterior_columns`.
    quantiles : mapping of quantity to array (N, 3), optional
        Those at `LEVELS`, where they are known already.

    Returns
    -------
    dict of str to ndarray
        (N,) or (N, n); NaN where a value is masked.

    Raises
    ------
    UnknownNameError, InputError
        See `posterior_columns`.
    """
    words = vocabulary if vocabulary is not None else load_vocabulary()
    if samples < 0:
        raise InputError(f"the number of samples must not be negative, got {samples}")
    draw = None if isinstance(rng, Mapping) else np.random.default_rng(rng)
    found: dict[str, NDArray[np.float32]] = {}
    for name in posterior.names if names is None else tuple(names):
        distribution, kind = posterior[name], words[name]
        mask = _mask(masked, name, len(posterior))
        if quantiles is not None and name in quantiles:
            low, middle, high = quantiles[name].T
        else:
            low, middle, high = distribution.quantile(LEVELS).T
        four = np.stack((middle, 0.5 * (high - low), low, high))
        for suffix, values in zip(_SUFFIXES, stored_values(four, mask), strict=True):
            found[column_name(name, suffix, prefix)] = values
        if pdf and kind.scale != "object":
            densities = PdfGrid.of(kind).densities(distribution)
            found[column_name(name, "pdf", prefix)] = stored_values(densities, mask[:, None])
        if samples:
            if draws is not None:
                drawn = np.asarray(draws[name], dtype=np.float64)
            else:
                source = rng[name] if isinstance(rng, Mapping) else draw
                drawn = distribution.sample(samples, source)
            found[column_name(name, "samples", prefix)] = stored_values(drawn, mask[:, None])
    return found


def column_texts(
    names: Iterable[str],
    vocabulary: Vocabulary | None = None,
    *,
    prefix: str = "jp_",
    pivots: Mapping[str, float] | None = None,
    pdf: bool = False,
    samples: int = 0,
    joint: bool = False,
) -> list[ColumnText]:
    """What is said of the columns of `posterior_columns`, in their order.

    Parameters
    ----------
    names, vocabulary, prefix, pivots, pdf, samples
        See `posterior_columns`.
    joint : bool
        Whether the samples of several quantities are drawn together.
    """
    words = vocabulary if vocabulary is not None else load_vocabulary()
    out: list[ColumnText] = []
    for name in names:
        kind, band = words[name], split_quantity(name)[1]
        ucd = kind.ucd if band is None else band_ucd(kind.ucd, _pivot(band, pivots))
        label = column_name(name, prefix=prefix)
        short = kind.description.split(";")[0].split(":")[0]
        head = kind.description
        if band is not None:
            short, head = f"{short} in {band}", f"{head.split(';')[0]} in {band}"
        unit, shape = kind.unit or None, kind.format or None

        def add(
            suffix: str,
            text: str,
            ucd: str,
            unit: str | None = unit,
            shape: str | None = shape,
            stem: str = name,
        ) -> None:
            out.append(ColumnText(column_name(stem, suffix, prefix), text, ucd, unit, shape))

        add("", f"{head}; median of the posterior", ucd)
        add("err", f"Half the 16-84 % interval of {label}", f"stat.error;{ucd}")
        add("lo", f"16 % quantile of {label}, {short}", f"{ucd};stat.min")
        add("hi", f"84 % quantile of {label}, {short}", f"{ucd};stat.max")
        if pdf and kind.scale != "object":
            text = f"Posterior density of {label}, mean of each bin; {PdfGrid.of(kind).describe()}"
            per = f"1 / ({kind.unit})" if kind.unit else None
            add("pdf", text, f"stat.probability;{ucd}", per, "%.5g")
        if samples:
            kept = "joint draws of" if joint else "draws from the posterior of"
            add("samples", f"{samples} {kept} {label}, {short}", ucd)
    return out


def grid_meta(
    names: Iterable[str], vocabulary: Vocabulary | None = None, prefix: str = "jp_"
) -> dict[str, list[float]]:
    """Bin edges of the ``_pdf`` columns for a table's meta: ``{"jp_z_pdf_edges": [...]}``."""
    words = vocabulary if vocabulary is not None else load_vocabulary()
    return {
        f"{column_name(name, 'pdf', prefix)}_edges": [
            float(f"{edge:.10g}") for edge in PdfGrid.of(words[name]).edges
        ]
        for name in names
        if words[name].scale != "object"
    }


def _pivot(band: str, pivots: Mapping[str, float] | None) -> float | None:
    if pivots and band in pivots:
        return float(pivots[band])
    from jpassed.filters import known_bands

    known = known_bands().get(band)
    return None if known is None else known[0]


def _mask(
    masked: ArrayLike | Mapping[str, ArrayLike] | None, name: str, n_objects: int
) -> NDArray[np.bool_]:
    rows = masked.get(name) if isinstance(masked, Mapping) else masked
    if rows is None:
        return np.zeros(n_objects, dtype=bool)
    out = np.asarray(rows, dtype=bool)
    if out.shape != (n_objects,):
        raise InputError(f"the mask of {name!r} must have shape ({n_objects},), got {out.shape}")
    return out


def stored_values(values: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Single precision, with NaN where `mask` says so and where values are not finite."""
    hidden = mask | ~np.isfinite(values)
    with np.errstate(over="ignore"):
        stored = values.astype(np.float32)
    stored[hidden] = np.nan
    return stored


def make_column(
    name: str,
    values: NDArray[np.float64],
    description: str,
    ucd: str,
    *,
    unit: str | None,
    format: str | None,
    mask: NDArray[np.bool_],
) -> Any:
    """A column of float32 values, (N,) or (N, n), with what is said of it.

    Masked where `mask` (N,) says so and where values are not finite, with NaN beneath.
    """
    rows = mask if values.ndim == 1 else mask[:, None]
    return ColumnText(name, description, ucd, unit, format).column(stored_values(values, rows))
