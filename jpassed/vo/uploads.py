"""Tables that go along with a query."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from jpassed.exceptions import InputError

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["Uploads"]


@dataclass(frozen=True)
class Uploads:
    """Tables as the VOTables that are sent.

    Attributes
    ----------
    content : dict
        Name to VOTable.
    rows : int
        Of all tables together.
    """

    content: Mapping[str, bytes]
    rows: int

    @classmethod
    def of(cls, tables: Mapping[str, Table] | None) -> Uploads:
        """Write the tables.

        Raises
        ------
        InputError
            If a name is none that ADQL can write, or a table has no rows or columns of truth
            values, which services do not take, or cannot be written as a VOTable.
        """
        tables = tables or {}
        content = {name: _votable(name, table) for name, table in tables.items()}
        return cls(content, sum(len(table) for table in tables.values()))

    def __bool__(self) -> bool:
        return bool(self.content)

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(map(len, self.content.values()))

    def digest(self) -> str:
        """The same for the same tables under the same names."""
        found = hashlib.sha256()
        for name in sorted(self.content):
            found.update(f"{name.lower()}:{len(self.content[name])}:".encode())
            found.update(self.content[name])
        return found.hexdigest() if self.content else ""

    def parameters(self) -> dict[str, str]:
        """The parameter that names them."""
        if not self.content:
            return {}
        return {"UPLOAD": ";".join(f"{name},param:{name}" for name in self.content)}

    def files(self) -> dict[str, tuple[str, BytesIO, str]] | None:
        """The parts of the request, new for each request."""
        return {
            name: (f"{name}.vot", BytesIO(votable), "application/x-votable+xml")
            for name, votable in self.content.items()
        } or None


def _votable(name: str, table: Any) -> bytes:
    from astropy.io import votable

    from jpassed.io.native_columns import plain_table
    from jpassed.io.texts import one_line
    from jpassed.io.votables import no_masked_text, number_nulls, spell_units

    if not re.fullmatch(r"[A-Za-z]\w*", name):
        raise InputError(
            f"an upload has a name that ADQL can write, e.g. mine for TAP_UPLOAD.mine; got {name!r}"
        )
    if not len(table):
        raise InputError(f"the table to upload as {name!r} has no rows")
    plain = plain_table(table)
    plain.meta.clear()
    bad = [column for column in plain.colnames if plain[column].dtype.kind == "b"]
    if bad:
        raise InputError(
            f"services take no columns of truth values; make {', '.join(map(repr, bad))} of the "
            f"upload {name!r} integers"
        )
    target, reason = BytesIO(), ""
    try:
        spell_units(plain)
        no_masked_text(plain)
        nulls = number_nulls(plain, cells=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            document = votable.from_table(plain)
            for field in document.get_first_table().fields:
                if field.name in nulls:
                    field.values.null = nulls[field.name]
            # Exact, and older than binary2: every service reads it.
            document.to_xml(target, tabledata_format="binary")
    except Exception as exc:  # astropy's writer has its own errors for columns it cannot hold
        reason = one_line(exc)
    if reason:
        raise InputError(f"the table to upload as {name!r} cannot be written: {reason}")
    # In one line: DaCHS 2.7 loses its place in some streams of several ("No data left").
    return re.sub(
        rb"(?<=<STREAM encoding=\"base64\">)[^<]*",
        lambda found: b"".join(found[0].split()),
        target.getvalue(),
    )
