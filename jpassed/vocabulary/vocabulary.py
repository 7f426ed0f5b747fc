"""The vocabulary, read from ``vocabulary.ecsv``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from jpassed.exceptions import InputError, UnknownNameError

__all__ = ["BANDFLUX", "Kind", "Vocabulary", "load_vocabulary", "split_quantity"]

BANDFLUX = "flux"
"""Name of the kind that needs a passband: a quantity ``flux:<band>``."""

SUPPORTS = ("real", "positive", "redshift", "category")
SCALES = ("linear", "asinh", "log1p", "object")


@dataclass(frozen=True)
class Kind:
    """One kind of token.

    Attributes
    ----------
    name : str
        Quantity name, used in columns and in every call.
    unit : str
        Astropy unit string, empty if dimensionless.
    ucd : str
        UCD1+ word.
    support : {"real", "positive", "redshift", "category"}
        Picks the output head.
    scale : {"linear", "asinh", "log1p", "object"}
        How a value becomes a number of order one, see `to_scaled`.
    loc, width, softening : float
        Parameters of the scale.
    lower, upper : float
        Physical support, in `unit`.
    format : str
        Column format.
    description, reference : str
        What it is, and who defined it.
    """

    name: str
    unit: str
    ucd: str
    support: str
    scale: str
    loc: float
    width: float
    softening: float
    lower: float
    upper: float
    format: str
    description: str
    reference: str

    def to_scaled(self, value: np.ndarray) -> np.ndarray:
        """Scaled value y of physical values x (any shape).

        ``linear``: y = (x - loc) / width; ``asinh``: y = (asinh(x / softening) - loc) / width;
        ``log1p``: y = (ln(1 + x) - loc) / width. Bandfluxes (``object``) are scaled by the
        tokens, which know the object.

        Raises
        ------
        InputError
            For bandfluxes.
        """
        x = np.asarray(value, dtype=np.float64)
        if self.scale == "asinh":
            x = np.arcsinh(x / self.softening)
        elif self.scale == "log1p":
            x = np.log1p(x)
        elif self.scale == "object":
            raise InputError(f"kind {self.name!r} is scaled per object; use the tokens' scaling")
        return (x - self.loc) / self.width

    def from_scaled(self, scaled: np.ndarray) -> np.ndarray:
        """Physical values of scaled values: the inverse of `to_scaled`.

        Parameters
        ----------
        scaled : ndarray
            Any shape.

        Returns
        -------
        ndarray
            In `unit`, the same shape.

        Raises
        ------
        InputError
            For bandfluxes.
        """
        x = np.asarray(scaled, dtype=np.float64) * self.width + self.loc
        if self.scale == "asinh":
            return np.sinh(x) * self.softening
        if self.scale == "log1p":
            return np.expm1(x)
        if self.scale == "object":
            raise InputError(f"kind {self.name!r} is scaled per object; use the tokens' scaling")
        return x

    def scaled_error(self, value: np.ndarray, error: np.ndarray) -> np.ndarray:
        """Standard error in scaled units of `value` with `error`, to first order.

        Parameters
        ----------
        value, error : ndarray
            In `unit`, any shape.

        Returns
        -------
        ndarray
            The same shape.

        Raises
        ------
        InputError
            For bandfluxes.
        """
        if self.scale == "object":
            raise InputError(f"kind {self.name!r} is scaled per object; use the tokens' scaling")
        x = np.asarray(value, dtype=np.float64)
        sigma = np.asarray(error, dtype=np.float64) / self.width
        if self.scale == "asinh":
            return sigma / np.hypot(x, self.softening)
        if self.scale == "log1p":
            return sigma / (1.0 + x)
        return sigma


@dataclass(frozen=True)
class Vocabulary:
    """All kinds, in the order of the data file.

    Attributes
    ----------
    kinds : tuple of Kind
    digest : str
        First 16 hexadecimal digits of the SHA-256 of the data file's rows; kept in every model.
    definitions : tuple of str
        The definitions that all kinds obey, in words.
    """

    kinds: tuple[Kind, ...]
    digest: str
    definitions: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all kinds."""
        return tuple(kind.name for kind in self.kinds)

    @property
    def scalars(self) -> tuple[str, ...]:
        """Names of the kinds that are a quantity by themselves (all but bandflux)."""
        return tuple(kind.name for kind in self.kinds if kind.name != BANDFLUX)

    def extended(self, kinds: Iterable[Kind]) -> Vocabulary:
        """The same with further kinds behind these: those of a model that learned more.

        The digest stays that of the common kinds when there are none to add, and tells the
        additions otherwise.

        Raises
        ------
        InputError
            If a name is taken.
        """
        added = tuple(kinds)
        if not added:
            return self
        for position, kind in enumerate(added):
            before = (*self.names, *(other.name for other in added[:position]))
            if kind.name in before:
                raise InputError(f"kind {kind.name!r} exists already: give it another name")
        text = json.dumps([self.digest, *(asdict(kind) for kind in added)], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return Vocabulary((*self.kinds, *added), digest, self.definitions)

    def index(self, name: str) -> int:
        """Position of a kind; raises `UnknownNameError`.

        Parameters
        ----------
        name : str

        Returns
        -------
        int

        Raises
        ------
        UnknownNameError
            If there is no such kind.
        """
        try:
            return self.names.index(name)
        except ValueError:
            raise UnknownNameError("quantity", name, self.names) from None

    def __getitem__(self, name: str) -> Kind:
        if name not in self:
            raise UnknownNameError("quantity", name, self.names)
        return self.kinds[self.index(split_quantity(name)[0])]

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        kind, band = split_quantity(name)
        # Only a bandflux has a passband: "z:J0660" is a slip, not a redshift.
        return kind in self.names and (band is None or kind == BANDFLUX)

    def __iter__(self) -> Iterator[Kind]:
        return iter(self.kinds)

    def __len__(self) -> int:
        return len(self.kinds)


def split_quantity(quantity: str) -> tuple[str, str | None]:
    """Split ``"flux:J0660"`` into ``("flux", "J0660")``, and ``"z"`` into ``("z", None)``.

    Parameters
    ----------
    quantity : str

    Returns
    -------
    kind : str
    band : str or None
    """
    kind, colon, band = quantity.partition(":")
    return kind, (band if colon else None)


@lru_cache(maxsize=1)
def load_vocabulary() -> Vocabulary:
    """Read the embedded vocabulary.

    Returns
    -------
    Vocabulary
    """
    from astropy.table import Table

    path = Path(__file__).with_name("vocabulary.ecsv")
    table = Table.read(path, format="ascii.ecsv")
    rows = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
    digest = hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]
    texts = ("name", "unit", "ucd", "support", "scale", "format", "description", "reference")
    kinds = []
    for row in table.filled(""):
        values: dict[str, Any] = {
            name: str(row[name]) if name in texts else float(row[name]) for name in table.colnames
        }
        kinds.append(Kind(**values))
    return Vocabulary(tuple(kinds), digest, tuple(table.meta.get("definitions", ())))
