"""What other code adds to jpassed by name: heads of the network, and objectives of trainings."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from jpassed.exceptions import MissingDependencyError, UnknownNameError

__all__ = ["GROUPS", "add_extension", "extension_names", "load_extension"]

GROUPS = {"head": "jpassed.heads", "objective": "jpassed.objectives"}
"""What can be added, and the entry points by which an installed package adds it."""

_added: dict[tuple[str, str], Any] = {}


def add_extension(what: str, name: str, thing: Any) -> None:
    """Make a head or an objective known to this process.

    A package that is installed needs no call: its entry points (`GROUPS`) do it, for the command
    line and for worker processes as well.

    Parameters
    ----------
    what : {"head", "objective"}
    name : str
        The word for it in configurations and model cards.
    thing : class or callable
        See the pages "Add a head" and "Add an objective" of the documentation.

    Raises
    ------
    UnknownNameError
        If `what` is neither of the two.
    """
    if what not in GROUPS:
        raise UnknownNameError("kind of extension", what, GROUPS)
    _added[what, name] = thing


def extension_names(what: str) -> tuple[str, ...]:
    """Names that were added, by a call or by the entry points of installed packages.

    Parameters
    ----------
    what : {"head", "objective"}

    Returns
    -------
    tuple of str
    """
    own = [name for group, name in _added if group == what]
    return tuple(dict.fromkeys([*own, *_entry_points(what)]))


def load_extension(what: str, name: str, choices: tuple[str, ...] = ()) -> Any:
    """What was added under a name.

    Parameters
    ----------
    what : {"head", "objective"}
    name : str
    choices : tuple of str
        Names that jpassed itself brings, for the message.

    Returns
    -------
    class or callable

    Raises
    ------
    UnknownNameError
        If nothing was added under this name.
    MissingDependencyError
        If the package that added it cannot be imported.
    """
    if (what, name) in _added:
        return _added[what, name]
    points = _entry_points(what)
    if name not in points:
        raise UnknownNameError(what, name, (*choices, *extension_names(what)))
    try:
        return points[name].load()
    except (ImportError, AttributeError) as exc:
        raise MissingDependencyError(
            f"the {what} {name!r} is that of another package ({points[name].value}), which cannot "
            f"be imported: {exc}"
        ) from exc


def _entry_points(what: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUPS[what])}
