"""What to say about a table in which no bandflux was recognised: its columns, and a map."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from jpassed.exceptions import UnrecognisedTableError
from jpassed.surveys.columns import says_magnitude
from jpassed.surveys.extinction import ebv_columns
from jpassed.surveys.label_names import may_be
from jpassed.surveys.map_text import UNSURE, extinction_hint
from jpassed.surveys.matching import TableReader

__all__ = [
    "POSITIONS",
    "error_guess",
    "guess_band",
    "is_redshift",
    "suggest_lines",
    "suggest_map",
    "unrecognised",
]

COLUMNS_SHOWN = 60
BANDS_SHOWN = 12
# Letters of a band's name that make it one also within a word, such as gSDSS.
SURE = 5

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
_INNER = (
    *(("mag", "magerr"), ("mag", "mag_err"), ("flux", "fluxerr"), ("flux", "flux_err")),
    *(("flux", "error"), ("flux", "err"), ("mag", "error"), ("mag", "err")),
)
_IVAR_NAMES = ("{x}_ivar", "ivar_{x}", "{x}ivar")
POSITIONS = {"ra", "dec", "raj2000", "dej2000", "alpha_j2000", "delta_j2000", "pmra", "pmdec"}
_LETTERS = {
    **{letter: f"sdss_{letter}" for letter in "ugriz"},
    **{"j": "2mass_j", "h": "2mass_h", "k": "2mass_ks", "ks": "2mass_ks"},
    **{f"w{k}": f"wise_w{k}" for k in range(1, 5)},
    **{"fuv": "galex_fuv", "nuv": "galex_nuv"},
}
# Their catalogues give Vega magnitudes.
_VEGA = ("2mass_", "wise_")
_WORDS = re.compile(r"magnitude|mag|flux|auto|model|petro|aper|kron|total|iso|psf|cor|ab|obs|f|m")

# Only what stands around: "rSDSSmag", not the letters of a band's own name.
_AROUND = re.compile(r"^(?:magnitude|mag|flux|flx|fl|f|m)|(?:magnitude|mag|flux|flx)$")


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


def guess_band(name: str, taken: set[str], whole: bool = False) -> str:
    """A band that the column may be by its name, and is not yet taken; empty if none.

    With `whole` a letter alone counts only where the rest of the name is one of a bandflux
    ("mag_r", "gmag"; not "r_eff").
    """
    from jpassed.filters import known_bands

    lower = name.lower()
    for band in sorted(known_bands(), key=len, reverse=True):
        if re.search(rf"(?<![a-z0-9]){re.escape(band.lower())}(?![a-z0-9])", lower):
            if band not in taken:
                return band
    known = {band.lower(): band for band in known_bands()}
    # Within a word: only names that are hardly anything else, the longest first.
    for plain, band in sorted(known.items(), key=lambda item: -len(item[0])):
        if len(plain) >= SURE and plain in lower and band not in taken:
            return band
    words = re.split(r"[^a-z0-9]+", lower)
    if whole:
        words = [word for word in words if _WORDS.sub("", word)]
        words = words if len(words) == 1 else []
    for word in words:
        for letter in (word, _WORDS.sub("", word), _AROUND.sub("", word)):
            band = known.get(letter) or _LETTERS.get(letter, "")
            if band and band not in taken:
                return band
    return ""


def is_redshift(name: str, reader: TableReader) -> bool:
    """Whether a column is hardly a band but a redshift, or something of one."""
    if not name.lower().startswith("z") or says_magnitude(name):
        return False
    return name.lower() != "z" or may_be("z", name, reader)


def _placeholder(taken: set[str]) -> str:
    k = 1
    while f"BAND{k}" in taken:
        k += 1
    return f"BAND{k}"


def suggest_map(
    reader: TableReader, most: int | None = None, without_error: Sequence[str] = ()
) -> str:
    """A map (YAML) with the table's own columns that look like measurements with errors.

    Parameters
    ----------
    reader : TableReader
    most : int, optional
        Bands after which it ends; by default it has all.
    without_error : sequence of str, optional
        Columns that look like bandfluxes and have no errors: where nothing else was found, the
        map shows how they would be read with them.

    Returns
    -------
    str
        YAML text; bands that could not be guessed are called ``BAND1``, ``BAND2``...
    """
    lower = {name.lower(): name for name in reader.names}
    lines: list[str] = []
    taken: set[str] = set()
    for name in reader.names:
        if name.lower() in POSITIONS or name.lower().startswith(("jp_", "true_")):
            continue
        if is_redshift(name, reader):
            continue
        pair = _error_of(name, lower) if reader.width(name) == 1 else None
        if pair is None:
            continue
        if most is not None and len(lines) >= most:
            lines.append("  # ... and more: jpassed identify CATALOG --as-map")
            break
        band = guess_band(name, taken) or _placeholder(taken)
        taken.add(band)
        lines.append(_band_line(band, name, pair, reader))
    if not lines:
        lines = _array_rule(reader, lower)
        if lines:
            return "photometry:\n" + "\n".join(lines)
        for name in without_error[:most]:
            band = guess_band(name, taken) or _placeholder(taken)
            taken.add(band)
            lines.append(_band_line(band, name, (f"{name}_err", "error"), reader))
    if not lines:
        lines = [f'  J0660: {{flux: FLUX_COLUMN, error: ERROR_COLUMN, unit: "{UNSURE}"}}']
    text = "bands:\n" + "\n".join(lines)
    dust = ebv_columns(reader)
    return f"{text}\n{extinction_hint(dust[0], (), reader).rstrip()}" if dust else text


def suggest_lines(
    names: Sequence[str], bands: Collection[str], reader: TableReader
) -> tuple[str, ...]:
    """Lines for ``bands`` of a map by which further columns would be read.

    Parameters
    ----------
    names : sequence of str
        The columns; those without errors are passed over.
    bands : collection of str
        Bands that the map has already.
    reader : TableReader
    """
    taken = set(bands)
    lines = []
    for name in names:
        pair = error_guess(name, reader.names)
        if pair is not None:
            band = guess_band(name, taken) or _placeholder(taken)
            taken.add(band)
            lines.append(_band_line(band, name, pair, reader))
    return tuple(lines)


def _band_line(band: str, name: str, pair: tuple[str, str], reader: TableReader) -> str:
    unit = reader.unit(name)
    magnitude = says_magnitude(name) or "mag" in str(unit or "").lower()
    tail = "" if magnitude or unit is not None else f', unit: "{UNSURE}"'
    kind = "mag" if magnitude else "flux"
    vega = magnitude and band.startswith(_VEGA)
    remark = "  # AB; Vega magnitudes need 'ab_offset'" if vega else ""
    return f"  {band}: {{{kind}: {_quoted(name)}, {pair[1]}: {_quoted(pair[0])}{tail}}}{remark}"


def _array_rule(reader: TableReader, lower: dict[str, str]) -> list[str]:
    """A rule for the first array column that has an array of errors beside it."""
    for name in reader.names:
        width = reader.width(name)
        pair = _error_of(name, lower) if width > 1 else None
        if pair is None or reader.width(pair[0]) != width:
            continue
        own = str(reader.unit(name) or "")
        unit = "mag(AB)" if says_magnitude(name) else own or f'"{UNSURE}"'
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
    names = [name for name in reader.names if not name.lower().startswith("jp_")]
    shown = ", ".join(names[:COLUMNS_SHOWN])
    more = f", ... ({len(names)} in all)" if len(names) > COLUMNS_SHOWN else ""
    tried = "any known survey" if survey == "auto" else f"survey {survey!r}"
    reason = f"no bandflux column of {tried} was recognised"
    if without_error:
        listed = ", ".join(map(repr, without_error[:6]))
        reason += (
            f"; {listed} look like bandfluxes but have no error column: add one to each, such as "
            f"'{without_error[0]}_err'"
        )
    return UnrecognisedTableError(
        f"{reason}. Columns seen: {shown}{more}. Say which column is which band in a YAML file "
        "and give it with --map FILE (survey=FILE in Python).\nStart for example from\n"
        f"{suggest_map(reader, BANDS_SHOWN, without_error)}\n"
        "where bands are names such as J0660, rSDSS, sdss_r, galex_nuv, and units are uJy, "
        "nanomaggy, mag(AB), 'erg / (s cm2 Hz)' or 'erg / (s cm2 Angstrom)'."
    )
