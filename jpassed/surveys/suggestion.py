"""What to say about a table in which no bandflux was recognised: its columns, and a map."""

from __future__ import annotations

import re
from collections.abc import Sequence

from jpassed.exceptions import UnrecognisedTableError
from jpassed.surveys.matching import TableReader

__all__ = ["error_guess", "suggest_map", "unrecognised"]

COLUMNS_SHOWN = 60
BANDS_SHOWN = 12

# Ways to name the error of a column x; tried in this order.
_ERROR_NAMES = (
    "{x}_err",
    "{x}_error",
    "{x}err",
    "{x}error",
    "e_{x}",
    "err_{x}",
    "e{x}",
    "d{x}",
    "sigma_{x}",
    "{x}_sigma",
    "{x}_unc",
    "{x}_e",
)
_INNER = (("mag", "magerr"), ("mag", "mag_err"), ("flux", "fluxerr"), ("flux", "flux_err"))
_IVAR_NAMES = ("{x}_ivar", "ivar_{x}", "{x}ivar")
_POSITIONS = {"ra", "dec", "raj2000", "dej2000", "alpha_j2000", "delta_j2000", "pmra", "pmdec"}
_LETTERS = {
    **{letter: f"sdss_{letter}" for letter in "ugriz"},
    **{"j": "2mass_j", "h": "2mass_h", "k": "2mass_ks", "ks": "2mass_ks"},
    **{f"w{k}": f"wise_w{k}" for k in range(1, 5)},
    **{"fuv": "galex_fuv", "nuv": "galex_nuv"},
}
_WORDS = re.compile(r"magnitude|mag|flux|auto|model|petro|aper|kron|total|iso|psf|cor|ab|obs|f|m")


def _error_of(name: str, lower: dict[str, str]) -> tuple[str, str] | None:
    for kind, patterns in (("error", _ERROR_NAMES), ("ivar", _IVAR_NAMES)):
        for pattern in patterns:
            hit = lower.get(pattern.format(x=name.lower()))
            if hit:
                return hit, kind
    for plain, noisy in _INNER:
        if plain in name.lower():
            hit = lower.get(name.lower().replace(plain, noisy, 1))
            if hit:
                return hit, "error"
            for ending, kind in (("_ivar", "ivar"), ("_relerr", "relative_error")):
                hit = lower.get(name.lower().replace(plain, plain + ending, 1))
                if hit:
                    return hit, kind
    return None


def error_guess(name: str, names: Sequence[str]) -> tuple[str, str] | None:
    """The column that by its name has the errors of another, and their kind; None if none has.

    Parameters
    ----------
    name : str
    names : sequence of str
        All columns.

    Returns
    -------
    (str, {"error", "ivar", "relative_error"}) or None
    """
    return _error_of(name, {column.lower(): column for column in names})


def _guess_band(name: str, taken: set[str]) -> str:
    """A band that the column may be, or a word in capitals to be replaced by the reader."""
    from jpassed.filters import known_bands

    lower = name.lower()
    for band in sorted(known_bands(), key=len, reverse=True):
        if re.search(rf"(?<![a-z0-9]){re.escape(band.lower())}(?![a-z0-9])", lower):
            if band not in taken:
                return band
    for word in re.split(r"[^a-z0-9]+", lower):
        for letter in (word, _WORDS.sub("", word)):
            band = _LETTERS.get(letter, "")
            if band and band not in taken:
                return band
    k = 1
    while f"BAND{k}" in taken:
        k += 1
    return f"BAND{k}"


def suggest_map(reader: TableReader) -> str:
    """A map (YAML) with the table's own columns that look like measurements with errors.

    Parameters
    ----------
    reader : TableReader

    Returns
    -------
    str
        YAML text; bands that could not be guessed are called ``BAND1``, ``BAND2``...
    """
    lower = {name.lower(): name for name in reader.names}
    lines: list[str] = []
    taken: set[str] = set()
    for name in reader.names:
        if name.lower() in _POSITIONS or name.lower().startswith(("jp_", "true_", "z_", "z")):
            continue
        if len(lines) >= BANDS_SHOWN or reader.width(name) != 1:
            continue
        pair = _error_of(name, lower)
        if pair is None:
            continue
        band = _guess_band(name, taken)
        taken.add(band)
        unit = reader.unit(name)
        magnitude = "mag" in f"{name.lower()} {str(unit).lower()}"
        tail = "" if magnitude or unit is not None else ", unit: uJy"
        kind = "mag" if magnitude else "flux"
        lines.append(f"  {band}: {{{kind}: {_quoted(name)}, {pair[1]}: {_quoted(pair[0])}{tail}}}")
    if not lines:
        lines = _array_rule(reader, lower)
        if lines:
            return "photometry:\n" + "\n".join(lines)
        first = [name for name in reader.names if reader.width(name) == 1][:2]
        value, error = first if len(first) == 2 else ("FLUX_COLUMN", "ERROR_COLUMN")
        lines = [f"  J0660: {{flux: {_quoted(value)}, error: {_quoted(error)}, unit: uJy}}"]
    return "bands:\n" + "\n".join(lines)


def _array_rule(reader: TableReader, lower: dict[str, str]) -> list[str]:
    """A rule for the first array column that has an array of errors beside it."""
    for name in reader.names:
        width = reader.width(name)
        pair = _error_of(name, lower) if width > 1 else None
        if pair is None or reader.width(pair[0]) != width:
            continue
        unit = "mag(AB)" if "mag" in name.lower() else "uJy"
        return [
            "  - layout: array",
            f"    bands: [BAND1, BAND2]  # the {width} bands in the order of the array",
            f"    value: {_quoted(name)}",
            f"    {pair[1]}: {_quoted(pair[0])}",
            f"    unit: {unit}",
        ]
    return []


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_][\w.]*", name) else f'"{name}"'


def unrecognised(
    reader: TableReader, without_error: Sequence[str], survey: str
) -> UnrecognisedTableError:
    """The error for a table without recognised bandfluxes.

    Parameters
    ----------
    reader : TableReader
    without_error : sequence of str
        Columns that look like bandfluxes and have no error column.
    survey : str
        What was tried: a survey's name, or ``"auto"``.
    """
    names = reader.names
    shown = ", ".join(names[:COLUMNS_SHOWN])
    more = f", ... ({len(names)} in all)" if len(names) > COLUMNS_SHOWN else ""
    tried = "any known survey" if survey == "auto" else f"survey {survey!r}"
    reason = f"no bandflux column of {tried} was recognised"
    if without_error:
        listed = ", ".join(map(repr, without_error[:6]))
        reason += f"; {listed} look like bandfluxes but have no error column"
    return UnrecognisedTableError(
        f"{reason}. Columns seen: {shown}{more}. Say which column is which band in a YAML file "
        "and give it with --map FILE (survey=FILE in Python), starting for example from\n"
        f"{suggest_map(reader)}\n"
        "where bands are names such as J0660, rSDSS, sdss_r, galex_nuv, and units are uJy, "
        "nanomaggy, mag(AB), 'erg / (s cm2 Hz)' or 'erg / (s cm2 Angstrom)'."
    )
