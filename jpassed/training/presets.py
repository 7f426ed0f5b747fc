"""Training configurations that come with the package, by name."""

from __future__ import annotations

import os
from pathlib import Path

from jpassed.exceptions import UnknownNameError

__all__ = ["find_config", "list_presets"]

_FOLDER = Path(__file__).with_name("configs")


def list_presets() -> tuple[str, ...]:
    """Names of the presets."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


def find_config(name: str | os.PathLike[str]) -> Path:
    """File of a preset by name, or the path itself.

    Raises
    ------
    UnknownNameError
        For a bare word that is neither a preset nor a file, with the valid names.
    """
    text = os.fspath(name)
    if text in list_presets():
        return _FOLDER / f"{text}.yaml"
    path = Path(text)
    if path.suffix or os.sep in text or path.exists():
        return path
    raise UnknownNameError("training preset", text, list_presets())
