"""The objectives known by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from jpassed.exceptions import UnknownNameError
from jpassed.extensions import extension_names, load_extension
from jpassed.objectives.request_nll import row_nll

__all__ = ["OBJECTIVES", "Objective", "check_objective", "load_objective"]

Objective = Callable[..., Tensor]
"""(model, prediction, target, error, asked) -> losses (B, R), 0 where not asked: `row_nll`."""

OBJECTIVES: dict[str, Objective] = {"request_nll": row_nll}


def check_objective(name: Any) -> None:
    """Refuse a name that no objective has.

    Parameters
    ----------
    name : str

    Raises
    ------
    UnknownNameError
        The message lists the valid names.
    """
    if name not in OBJECTIVES and name not in (added := extension_names("objective")):
        raise UnknownNameError("objective", name, (*OBJECTIVES, *added))


def load_objective(name: str) -> Objective:
    """An objective by name.

    Parameters
    ----------
    name : str
        ``"request_nll"``, the reference (Leung & Bovy 2024, MNRAS 527, 1494), or one that was
        added: see `jpassed.extensions`.

    Returns
    -------
    callable
        ``objective(model, prediction, target, error, asked)`` gives (B, R) losses, 0 where not
        asked; parameters as of `row_nll`.

    Raises
    ------
    UnknownNameError
        If there is none of this name.
    MissingDependencyError
        If the package that added it cannot be imported.
    """
    if name in OBJECTIVES:
        return OBJECTIVES[name]
    found: Objective = load_extension("objective", name, tuple(OBJECTIVES))
    return found
