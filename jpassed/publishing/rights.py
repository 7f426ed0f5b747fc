"""Licence of a catalogue and the paper that describes it, as DaCHS wants them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from jpassed.exceptions import InputError

__all__ = ["Rights", "read_rights", "read_source"]

# Names of https://spdx.org/licenses that data are published under.
_LICENCES = {
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
}
_DOI = re.compile(r"(?:https?://(?:dx\.)?doi\.org/|doi:\s*)?(10\.\d{4,9}/\S+)", re.IGNORECASE)
# https://ui.adsabs.harvard.edu/help/actions/bibcode
_BIBCODE = re.compile(r"\d{4}[A-Za-z0-9.&]{14}[A-Za-z.]")


@dataclass(frozen=True)
class Rights:
    """What readers may do with a catalogue.

    Attributes
    ----------
    text, address : str
        Empty where nothing is said.
    """

    text: str = ""
    address: str = ""


def read_rights(license: str | None) -> Rights:
    """The rights of a licence by its SPDX name, its URL or in words.

    Examples
    --------
    >>> read_rights("cc-by-4.0").address
    'https://creativecommons.org/licenses/by/4.0/'
    """
    text = " ".join((license or "").split())
    plain = re.sub(r"[\s_-]+", "-", text.upper())
    for name, address in _LICENCES.items():
        if plain == name or text == address:
            return Rights(name, address)
    return Rights(text, text if re.fullmatch(r"https?://\S+", text) else "")


def read_source(source: str) -> str:
    """A bibcode, or a DOI as ``doi:10...``.

    Raises
    ------
    InputError
        If it is neither.

    Examples
    --------
    >>> read_source("https://doi.org/10.1051/0004-6361/202038841")
    'doi:10.1051/0004-6361/202038841'
    """
    text = source.strip()
    doi = _DOI.fullmatch(text)
    if doi:
        return f"doi:{doi.group(1)}"
    if _BIBCODE.fullmatch(text):
        return text
    raise InputError(
        f"source {source!r}: expected a bibcode such as 2021A&A...653A..31B or a DOI such as "
        "10.1051/0004-6361/202038841 (--source)"
    )
