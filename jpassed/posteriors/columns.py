"""From posteriors to table columns with unit, description, UCD and format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from jpassed.exceptions import InputError
from jpassed.posteriors.grids import PdfGrid
from jpassed.posteriors.posterior import Posterior
from jpassed.vocabulary import Vocabulary, load_vocabulary, split_quantity

if TYPE_CHECKING:
    from astropy.table import Column, MaskedColumn

__all__ = ["band_ucd", "column_name", "grid_meta", "make_column", "posterior_columns"]

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
_LEVELS = (0.16, 0.5, 0.84)


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
    if samples < 0:
        raise InputError(f"the number of samples must not be negative, got {samples}")
    draw = None if isinstance(rng, Mapping) else np.random.default_rng(rng)
    out: list[Any] = []
    for name in posterior.names if names is None else tuple(names):
        distribution, kind = posterior[name], words[name]
        band = split_quantity(name)[1]
        ucd = kind.ucd if band is None else band_ucd(kind.ucd, _pivot(band, pivots))
        mask = _mask(masked, name, len(posterior))
        low, middle, high = distribution.quantile(_LEVELS).T
        label = column_name(name, prefix=prefix)
        short = kind.description.split(";")[0].split(":")[0]
        if band is not None:
            short = f"{short} in {band}"
        common = {"unit": kind.unit or None, "format": kind.format or None, "mask": mask}

        def add(
            suffix: str,
            values: NDArray[np.float64],
            text: str,
            ucd: str,
            stem: str = name,
            settings: Mapping[str, Any] = common,
        ) -> None:
            title = column_name(stem, suffix, prefix)
            out.append(make_column(title, values, text, ucd, **settings))

        head = kind.description if band is None else f"{kind.description.split(';')[0]} in {band}"
        add("", middle, f"{head}; median of the posterior", ucd)
        add("err", 0.5 * (high - low), f"Half the 16-84 % interval of {label}", f"stat.error;{ucd}")
        add("lo", low, f"16 % quantile of {label}, {short}", f"{ucd};stat.min")
        add("hi", high, f"84 % quantile of {label}, {short}", f"{ucd};stat.max")
        if pdf and kind.scale != "object":
            grid = PdfGrid.of(kind)
            density = {**common, "unit": f"1 / ({kind.unit})" if kind.unit else None}
            density["format"] = "%.5g"
            text = f"Posterior density of {label}, mean of each bin; {grid.describe()}"
            ucd_pdf = f"stat.probability;{ucd}"
            add("pdf", grid.densities(distribution), text, ucd_pdf, settings=density)
        if samples:
            if draws is not None:
                text = f"{samples} joint draws of {label}, {short}"
                add("samples", np.asarray(draws[name], dtype=np.float64), text, ucd)
                continue
            text = f"{samples} draws from the posterior of {label}, {short}"
            source = rng[name] if isinstance(rng, Mapping) else draw
            add("samples", distribution.sample(samples, source), text, ucd)
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
    from astropy.table import Column, MaskedColumn

    rows = mask if values.ndim == 1 else mask[:, None]
    hidden = rows | ~np.isfinite(values)
    settings = {
        "name": name,
        "unit": unit,
        "description": description,
        # astropy prints what is under the mask of a quantity whose format begins with "%".
        "format": format.removeprefix("%") if format else None,
        "meta": {"ucd": ucd},
    }
    with np.errstate(over="ignore"):
        stored = np.where(hidden, np.nan, values).astype(np.float32)
    if hidden.any():
        return MaskedColumn(stored, mask=hidden, **settings)
    return Column(stored, **settings)
