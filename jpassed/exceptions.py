"""Exceptions of jpassed. Each says what was expected, what came, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from types import FunctionType
from typing import Any

__all__ = [
    "CoverageError",
    "FileError",
    "InputError",
    "JpassedError",
    "LoginError",
    "MissingDependencyError",
    "ModelError",
    "QueryError",
    "ServiceError",
    "TrainingError",
    "TruncatedAnswerError",
    "UnknownNameError",
    "UnrecognisedTableError",
]

# A terminal holds some sixty names; of a catalogue's columns the most similar are enough.
CHOICES_SHOWN, CHOICES_OF_MANY = 64, 20


class JpassedError(Exception):
    """Base class of every error that jpassed raises on purpose.

    Examples
    --------
    >>> import jpassed
    >>> try:
    ...     jpassed.load_filters("jpass")
    ... except jpassed.JpassedError as error:
    ...     print(error)
    unknown filter set 'jpass'. Did you mean 'jpas'...
    """

    def __reduce__(self) -> Any:
        # As it comes from another process: exceptions are made again from `args`, which are not
        # the arguments of an `__init__` of their own.
        if isinstance(type(self).__init__, FunctionType):
            return _made_again, (type(self), self.args, self.__dict__)
        return super().__reduce__()


def _made_again(kind: type[JpassedError], args: tuple[Any, ...], own: dict[str, Any]) -> Any:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(own)
    return error


class InputError(JpassedError, ValueError):
    """An argument or a table that cannot be used as it is."""


class UnknownNameError(InputError, KeyError):
    """A name that is not among the valid choices.

    Parameters
    ----------
    what : str
        What the name stands for, e.g. ``"filter set"``.
    name : str
        The name that was given.
    choices : iterable of str
        The valid names. The message lists them, or of many only the most similar.
    meant : str, optional
        The valid name that others call so; names that are spelt alike are not asked then.
    """

    def __init__(self, what: str, name: object, choices: Iterable[str], *, meant: str = "") -> None:
        valid = sorted({str(c) for c in choices})
        near = difflib.get_close_matches(str(name), valid, n=3, cutoff=0.6)
        near = [meant] if meant in valid else near
        hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
        shown = ", ".join(valid) if valid else "(none)"
        if len(valid) > CHOICES_SHOWN:
            # Of a column and its errors the first says it all.
            known = set(valid)
            own = [
                one for one in valid
                if not (one.endswith("_err") and one.removesuffix("_err") in known)
            ]  # fmt: skip
            similar = difflib.get_close_matches(str(name), own, n=CHOICES_OF_MANY, cutoff=0.0)
            shown = f"{', '.join(similar)}, ... ({len(valid)} in all)"
        self.message = f"unknown {what} {str(name)!r}.{hint} Valid choices: {shown}"
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


class UnrecognisedTableError(InputError):
    """A table in which no bandflux column was recognised."""


class FileError(JpassedError, OSError):
    """A file that is missing, damaged, in the way, or cannot be written."""


class ServiceError(JpassedError, OSError):
    """A service on the network that cannot be reached, or whose answer cannot be used."""


class TruncatedAnswerError(ServiceError):
    """An answer that is not all of the result: the service's row limit cut it (overflow)."""


class LoginError(ServiceError):
    """A service that asks for a login, or refuses the one that was given."""


class QueryError(InputError):
    """A query that the service refuses: its syntax, or a table or column it does not have."""


class CoverageError(InputError):
    """A spectrum or grid that does not cover the wavelengths asked for."""


class ModelError(JpassedError, ValueError):
    """Model weights that are damaged or do not fit this version of jpassed."""


class TrainingError(JpassedError, RuntimeError):
    """A training that cannot go on; its last checkpoint is kept."""


class MissingDependencyError(JpassedError, ImportError):
    """An optional package that is needed for what was asked, and is not installed."""
