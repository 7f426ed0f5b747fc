"""What is asked of which rows: arguments and columns checked, photometry and labels read."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from jpassed.annotation.derived import is_derived, load_derived
from jpassed.annotation.doubtful import doubtful_labels
from jpassed.annotation.flags import raise_flags, significance
from jpassed.annotation.targets import trained_bands, trained_range
from jpassed.exceptions import InputError, UnknownNameError, UnrecognisedTableError
from jpassed.filters import known_bands
from jpassed.io.zeropoint_file import read_zeropoints
from jpassed.surveys import (
    LabelColumn,
    Photometry,
    Survey,
    column_notes,
    detect_survey,
    load_survey,
    read_labels,
    read_photometry,
)
from jpassed.surveys.label_names import quantity_meant
from jpassed.vocabulary import Vocabulary, load_vocabulary, split_quantity
from jpassed.weights import load_model, model_vocabulary

if TYPE_CHECKING:
    from jpassed.annotation.inference import Batch
    from jpassed.annotation.joint import JointSampler
    from jpassed.nn.checkpoint import LoadedModel
    from jpassed.surveys.zeropoints import ZeroPoints

__all__ = ["DEFAULT_OUTPUTS", "Task", "check_table", "prepare", "read_outputs"]

logger = logging.getLogger(__name__)

DEFAULT_OUTPUTS = (
    "z", "logmstar", "logsfr", "logzstar", "t0", "tau", "av", "ur_rest", "ur_int", "logage_m",
    "logage_l", "ew_oii", "ew_hbeta", "ew_oiii", "ew_halpha", "ew_nii", "ew_sii",
    "flux:galex_fuv", "flux:galex_nuv",
)  # fmt: skip
"""Quantities that `annotate` predicts unless others are asked for."""

SMALLEST_ERROR, LARGEST_FLUX = 1e-9, 1e12
"""Microjansky: AB magnitudes 46 and -6. Beyond them single precision ends, and so does sense."""

BANDS_SHOWN = 8


@dataclass(frozen=True)
class Task:
    """Quantities asked of N objects, and what is known of them.

    Attributes
    ----------
    photometry : Photometry
        Bands that enter the context.
    labels : dict
        Labels that enter the context, by quantity.
    bad_labels, outside : ndarray (N,) of bool
        Rows with a label that was left out, and with one beyond its range.
    model : LoadedModel
    outputs : tuple of str
        Quantities asked, of the vocabulary or derived.
    passbands : dict
        Pivot and width (Å) of the passbands that may be asked.
    device : str
    batch_size : int or None
    survey : str
        Name of the survey that was recognised, empty if there is none.
    zeropoints : str
        Checksum of the zero points that `photometry` is corrected with, empty if it is not.
    precision : {"float32", "bfloat16", "auto"}
        Of the network's large matrix products.
    """

    photometry: Photometry
    labels: dict[str, LabelColumn]
    bad_labels: NDArray[np.bool_]
    outside: NDArray[np.bool_]
    model: LoadedModel
    outputs: tuple[str, ...]
    passbands: dict[str, tuple[float, float]]
    device: str
    batch_size: int | None
    survey: str
    zeropoints: str = ""
    precision: str = "float32"

    def __len__(self) -> int:
        return len(self.photometry)

    def batches(self, outputs: Sequence[str] | None = None) -> Iterator[Batch]:
        """Posteriors of all rows in batches; of other quantities than those asked if named."""
        from jpassed.annotation.inference import Predictor

        wanted = self.quantities if outputs is None else outputs
        predictor = Predictor(self.model, wanted, self.passbands, self.device, self.precision)
        # The redshift that is asked for others' sake is not read where it is known.
        unread = () if "z" in self.quantities else ("z",)
        return predictor.batches(self.photometry, self.labels, self.batch_size, unread=unread)

    def sampler(self) -> JointSampler:
        """What draws several quantities of all rows together."""
        from jpassed.annotation.inference import Predictor
        from jpassed.annotation.joint import JointSampler

        predictor = Predictor(self.model, (), self.passbands, self.device, self.precision)
        return JointSampler(predictor, self.photometry, self.labels)

    @property
    def quantities(self) -> tuple[str, ...]:
        """The outputs that the model is asked; the others are derived from joint draws."""
        return tuple(name for name in self.outputs if not is_derived(name))

    @property
    def outputs_and_redshift(self) -> tuple[str, ...]:
        """`quantities`, and the redshift: it decides which lines are in range, and on a flag.

        Also where it is known of all rows: the number of requests changes rounding, and a page
        must not differ from another by the labels of its rows.
        """
        asked = self.quantities
        return asked if "z" in asked else (*asked, "z")

    def redshift_settled(self, rows: slice) -> NDArray[np.bool_]:
        """Objects whose redshift is in the context, or that have no band to tell it."""
        settled = np.asarray(~self.photometry.observed[rows].any(axis=1), dtype=bool)
        if "z" in self.labels:
            settled |= self.labels["z"].observed[rows]
        return settled

    def n_labels(self, rows: slice, without: str = "") -> NDArray[np.int64]:
        """Number of labels in the context of each object, one of them left out."""
        count = np.zeros(len(range(*rows.indices(len(self)))), dtype=np.int64)
        for name, column in self.labels.items():
            if name != without:
                count += column.observed[rows]
        return count

    def nothing_known(self, rows: slice, quantity: str) -> NDArray[np.bool_]:
        """Objects with neither a band nor a label other than `quantity` itself."""
        return ~self.photometry.observed[rows].any(axis=1) & (self.n_labels(rows, quantity) == 0)

    def distance_unknown(self, rows: slice) -> NDArray[np.bool_]:
        """Objects with neither a band nor a redshift: line fluxes mean nothing there."""
        known = self.labels.get("z")
        without = np.ones(1, dtype=bool) if known is None else ~known.observed[rows]
        return ~self.photometry.observed[rows].any(axis=1) & without

    def flags(self, rows: slice, log_scale: NDArray[np.float64]) -> NDArray[np.int32]:
        """``jp_flag`` of some rows."""
        p = self.photometry
        n_bands = p.observed[rows].sum(axis=1)
        trained = set(trained_bands(self.model.card)) or set(p.bands)
        known = np.array([band in trained for band in p.bands], dtype=bool)
        # Wavelength and width alone do not carry a redshift (docs/real.md).
        strange = p.observed[rows][:, ~known].sum(axis=1) > n_bands / 2
        return raise_flags(
            n_bands=n_bands,
            n_labels=self.n_labels(rows),
            bad_input=p.bad_errors[rows] | self.bad_labels[rows],
            outside=self.outside[rows] | strange,
            log_scale=log_scale,
            significance=significance(p.flux[rows], p.error[rows], p.observed[rows]),
        )


def check_table(table: Any) -> None:
    """Raise `InputError` for what is no table, or an empty one."""
    from astropy.table import Table

    if not isinstance(table, Table):
        raise InputError(
            f"expected an astropy Table or QTable, got {type(table).__name__}; a pandas DataFrame "
            "becomes one with Table.from_pandas(frame), a file with jpassed.io.read_catalog(path)"
        )
    if len(table) == 0 or not table.colnames:
        raise InputError(
            f"the table is empty ({len(table)} rows, {len(table.colnames)} columns); expected at "
            "least one row with bandfluxes"
        )


def read_outputs(
    outputs: Sequence[str] | str | None, vocabulary: Vocabulary | None = None
) -> tuple[str, ...]:
    """Quantities asked, of the vocabulary or derived, each once; a text is split at its commas.

    The vocabulary is that of the model (`jpassed.weights.model_vocabulary`), which may know more
    kinds than the common one.

    Raises
    ------
    UnknownNameError
        For a name that is no quantity. Passbands are checked later, beside those of the table.
    InputError
        For none, or what are no names.
    """
    if outputs is None:
        return DEFAULT_OUTPUTS
    if isinstance(outputs, str):
        outputs = [name.strip() for name in outputs.split(",") if name.strip()]
    try:
        names = tuple(dict.fromkeys(outputs))
    except TypeError:
        raise InputError(
            f"outputs: expected names such as ['z', 'flux:J0660'], got {outputs!r}"
        ) from None
    if not names:
        raise InputError("outputs: expected at least one quantity, got none")
    vocabulary = load_vocabulary() if vocabulary is None else vocabulary
    for name in names:
        kind, band = split_quantity(name) if isinstance(name, str) else ("", None)
        if is_derived(name):
            continue
        if kind not in vocabulary.names or (kind == "flux") != (band is not None):
            choices = [*vocabulary.scalars, "flux:<band>, e.g. flux:J0660", *load_derived()]
            raise UnknownNameError("output", name, choices, meant=quantity_meant(str(name)))
    return names


def prepare(
    table: Any,
    *,
    model: str | os.PathLike[str] | LoadedModel,
    outputs: tuple[str, ...],
    context: Mapping[str, str] | None,
    survey: str | os.PathLike[str] | Survey,
    device: str,
    batch_size: int | None,
    zeropoints: str | os.PathLike[str] | ZeroPoints | None = None,
    precision: str = "float32",
) -> Task:
    """Read what a table holds, and check that the model can answer.

    Raises
    ------
    InputError, UnknownNameError, UnrecognisedTableError
        See `jpassed.annotate`.
    """
    if context is not None and not isinstance(context, Mapping):
        raise InputError(f"context: expected {{'z': 'z_spec'}} or the like, got {context!r}")
    if batch_size is not None and (
        isinstance(batch_size, bool)
        or not isinstance(batch_size, (int, np.integer))
        or batch_size < 1
    ):
        raise InputError(f"batch_size: expected a positive whole number, got {batch_size!r}")
    rules = _survey_of(table, survey)
    named = {**(rules.context if rules is not None else {}), **(context or {})}
    vocabulary = model_vocabulary(model)
    labels = read_labels(table, named, vocabulary) if named else {}
    if rules is not None:
        photometry = read_photometry(table, rules)
    elif labels:
        photometry = _no_photometry(len(table))
        logger.warning("no bandflux column was recognised: the context alone is used")
    else:
        detect_survey(table)  # raises, and says what it saw
        raise InputError("no bandflux column was recognised")
    from jpassed.annotation.devices import choose_device, choose_precision

    corrections = None if zeropoints is None else read_zeropoints(zeropoints)
    loaded = load_model(model)
    messages = [*photometry.messages, *(m for c in labels.values() for m in c.messages)]
    if rules is not None:
        known = [name for c in labels.values() for name in (c.column, c.error_column) if name]
        # First, as pages of a long table show a few messages only.
        messages = [*column_notes(table, rules, known), *messages]
    if corrections is not None:
        photometry, said = corrections.apply(photometry, table)
        messages += said
    passbands = _passbands(photometry, outputs, loaded)
    photometry = _sensible(photometry, messages)
    photometry = _placeable(photometry, loaded, messages)
    for message in messages:
        logger.warning(message)
    bad, outside = doubtful_labels(table, labels, vocabulary)
    return Task(
        photometry,
        labels,
        bad,
        outside,
        loaded,
        outputs,
        passbands,
        device,
        None if batch_size is None else int(batch_size),
        "" if rules is None else rules.name,
        "" if corrections is None else corrections.label,
        choose_precision(precision, choose_device(device)),
    )


def _survey_of(table: Any, survey: str | os.PathLike[str] | Survey) -> Survey | None:
    if isinstance(survey, Survey):
        return survey
    if not isinstance(survey, (str, os.PathLike)):
        raise InputError(f"survey: expected a name, 'auto' or the path of a map, got {survey!r}")
    if os.fspath(survey) != "auto":
        return load_survey(survey if isinstance(survey, str) else Path(survey))
    try:
        return detect_survey(table)
    except UnrecognisedTableError:
        return None


def _no_photometry(n: int) -> Photometry:
    empty = np.zeros((n, 0))
    none = np.zeros(0)
    return Photometry(
        (), none, none, empty, empty, empty.astype(bool), np.zeros(n, dtype=bool)
    )  # fmt: skip


def _passbands(
    photometry: Photometry, outputs: Sequence[str], model: LoadedModel
) -> dict[str, tuple[float, float]]:
    """Pivot and width of all passbands; those asked must be within the model's reach."""
    own = zip(photometry.bands, photometry.pivot, photometry.width, strict=True)
    passbands = {**known_bands(), **{band: (float(p), float(w)) for band, p, w in own}}
    limits = trained_range(model.card)
    for name in outputs:
        band = split_quantity(name)[1]
        if band is None:
            continue
        if band not in passbands:
            from jpassed.filters import find_band  # synphot, which takes a second to import

            find_band(band)  # raises, and lists the choices
        pivot = passbands[band][0]
        if limits is not None and not limits[0] <= pivot <= limits[1]:
            raise InputError(
                f"output {name!r}: its pivot wavelength of {pivot:.0f} Angstrom is outside the "
                f"{limits[0]:.0f} to {limits[1]:.0f} that model {model.name!r} was trained on"
            )
    return passbands


def _sensible(photometry: Photometry, messages: list[str]) -> Photometry:
    """Leave out fluxes and errors that no object can have."""
    p = photometry
    with np.errstate(invalid="ignore"):
        fine = (np.abs(p.flux) <= LARGEST_FLUX) & (p.error <= LARGEST_FLUX)
        fine &= p.error >= SMALLEST_ERROR
    bad = p.observed & ~fine
    if not bad.any():
        return p
    bands = [band for band, rows in zip(p.bands, bad.T, strict=True) if rows.any()]
    messages.append(
        f"{_shown(bands)}: {int(bad.sum())} values not used: beyond {LARGEST_FLUX:g} uJy, or with "
        f"an error below {SMALLEST_ERROR:g} uJy"
    )
    return replace(
        p,
        flux=np.where(bad, 0.0, p.flux),
        error=np.where(bad, 0.0, p.error),
        observed=p.observed & ~bad,
        bad_errors=p.bad_errors | bad.any(axis=1),
    )


def _placeable(photometry: Photometry, model: LoadedModel, messages: list[str]) -> Photometry:
    """Leave out bands beyond the wavelengths of the training; say which others are new to it."""
    limits = trained_range(model.card)
    if limits is None:
        return photometry
    inside = (photometry.pivot >= limits[0]) & (photometry.pivot <= limits[1])
    beyond = [band for band, ok in zip(photometry.bands, inside, strict=True) if not ok]
    if beyond:
        messages.append(
            f"{_shown(beyond)}: not used, outside the {limits[0]:.0f} to {limits[1]:.0f} Angstrom "
            f"that model {model.name!r} was trained on"
        )
    kept = [band for band, ok in zip(photometry.bands, inside, strict=True) if ok]
    trained = set(trained_bands(model.card))
    new = [band for band in kept if band not in trained]
    if new:
        messages.append(
            f"{_shown(new)}: not among the bands of the training, known to model {model.name!r} by "
            "wavelength and width alone"
        )
    return photometry.select(kept) if beyond else photometry


def _shown(bands: Sequence[str]) -> str:
    more = f" and {len(bands) - BANDS_SHOWN} more" if len(bands) > BANDS_SHOWN else ""
    return ", ".join(bands[:BANDS_SHOWN]) + more
