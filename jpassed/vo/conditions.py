"""Conditions of a query: cones, tiles, and what the user writes after WHERE, each checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from jpassed.exceptions import InputError

__all__ = ["check_condition", "read_cone", "read_tiles"]

_CONE = "expected RA DEC RADIUS, e.g. 214.2 52.5 0.1 or 14h17m +52d30m 10arcmin"


def read_cone(cone: Any) -> tuple[tuple[float, float], float]:
    """Centre and radius of a cone, in degrees.

    Parameters
    ----------
    cone : sequence
        (RA, Dec, radius), each a number in degrees, a Quantity, or text that
        `astropy.coordinates.Angle` reads, such as ``"14h17m"``, ``"+52d30m"``, ``"10arcmin"``;
        a right ascension with colons is in hours. Or (SkyCoord, radius).

    Returns
    -------
    centre : tuple of float
        ICRS right ascension in [0, 360) and declination.
    radius : float

    Raises
    ------
    InputError
        If it makes no sense.
    """
    from astropy.coordinates import SkyCoord

    if isinstance(cone, str) or not isinstance(cone, Sequence | np.ndarray):
        raise InputError(f"cone: {_CONE}, got {cone!r}")
    parts = list(cone)
    if len(parts) == 2 and isinstance(parts[0], SkyCoord) and parts[0].isscalar:
        centre = parts[0].icrs
        ra, dec = float(centre.ra.deg), float(centre.dec.deg)
    elif len(parts) == 3:
        ra, dec = _angle(parts[0], "right ascension"), _angle(parts[1], "declination")
    else:
        raise InputError(f"cone: {_CONE}, got {cone!r}")
    radius = _angle(parts[-1], "radius")
    if not -90 <= dec <= 90:
        raise InputError(f"cone: the declination {dec:g} is not within -90 to 90 degrees")
    if not -360 <= ra <= 360:
        raise InputError(f"cone: the right ascension {ra:g} is not within 0 to 360 degrees")
    if not 0 < radius <= 180:
        raise InputError(f"cone: the radius {radius:g} is not within 0 to 180 degrees")
    return (ra % 360.0, dec), radius


def _angle(value: Any, what: str) -> float:
    from astropy import units as u
    from astropy.coordinates import Angle

    given = value
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            colons = ":" in value
            unit = (u.hourangle if what == "right ascension" else u.deg) if colons else None
            try:
                value = Angle(value.strip(), unit)
            except (ValueError, TypeError, u.UnitsError) as exc:
                reason = " ".join(str(exc).split())
                raise InputError(f"cone, {what}: {_CONE}, got {given!r} ({reason})") from None
    try:
        degrees = float(u.Quantity(value, u.deg).value)
    except (ValueError, TypeError, u.UnitsError):
        raise InputError(f"cone, {what}: {_CONE}, got {given!r}") from None
    if not np.isfinite(degrees):
        raise InputError(f"cone, {what}: expected a finite angle, got {given!r}")
    return degrees


def read_tiles(tile: Any) -> tuple[int, ...]:
    """Numbers of tiles, from one or several numbers or texts.

    Raises
    ------
    InputError
        If one of them is no whole number, or there is none.
    """
    items: Iterable[Any] = [tile] if isinstance(tile, str) or np.ndim(tile) == 0 else tile
    found = []
    for item in items:
        plain = str(item).strip()
        if isinstance(item, bool | np.bool_) or not re.fullmatch(r"[+-]?\d{1,18}", plain):
            raise InputError(f"tile: expected the number of a tile, e.g. 2241, got {item!r}")
        found.append(int(plain))
    if not found:
        raise InputError("tile: expected at least one number")
    return tuple(dict.fromkeys(found))


def check_condition(where: Any) -> str:
    """A condition of the user's, such that it stays within parentheses put around it.

    Parameters
    ----------
    where : str
        ADQL that may follow WHERE.

    Returns
    -------
    str
        Without blanks around it.

    Raises
    ------
    InputError
        If it is empty, has a quote or parenthesis without its partner, a comment or a semicolon.
    """
    if not isinstance(where, str) or not where.strip():
        raise InputError(f"where: expected a condition such as 'class_star < 0.5', got {where!r}")
    depth, quote = 0, ""
    for place, character in enumerate(where):
        if quote:
            # A doubled quote closes and opens again: the same in the end.
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
            if depth < 0:
                raise InputError(f"where: ')' at place {place + 1} closes nothing: {where!r}")
        elif character == ";" or where.startswith(("--", "/*"), place):
            raise InputError(
                f"where: expected one condition; leave out {where[place:].split()[0]!r} and what "
                f"follows: {where!r}"
            )
    if quote:
        raise InputError(f"where: a quote ({quote}) is not closed: {where!r}")
    if depth:
        raise InputError(f"where: {depth} '(' without a ')': {where!r}")
    return where.strip()
