"""The embedded models, and the way from a name to a model."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jpassed.exceptions import (
    FileError,
    InputError,
    JpassedError,
    ModelError,
    UnknownNameError,
)
from jpassed.vocabulary import Kind, Vocabulary, load_vocabulary

if TYPE_CHECKING:
    from jpassed.nn.checkpoint import LoadedModel

__all__ = ["find_model", "list_models", "load_model", "model_vocabulary"]

_FOLDER = Path(__file__).parent


def list_models() -> dict[str, dict[str, Any]]:
    """Cards of the embedded models, by name.

    Returns
    -------
    dict
        Name to the content of ``model.json``.

    Raises
    ------
    ModelError
        If a card is damaged.

    Examples
    --------
    >>> import jpassed
    >>> sorted(jpassed.list_models())
    ['default']
    """
    cards = {}
    for path in sorted(_FOLDER.glob("*/model.json")):
        try:
            cards[path.parent.name] = json.loads(path.read_text("utf-8"))
        except ValueError as exc:
            raise ModelError(f"{path} is damaged: {exc}. Install jpassed again") from exc
    return cards


def find_model(name: str | os.PathLike[str]) -> Path:
    """Folder of a model by name, or the folder itself.

    Parameters
    ----------
    name : str or path
        A name of `list_models`, or a folder with ``model.safetensors`` and ``model.json``.

    Returns
    -------
    Path

    Raises
    ------
    FileError
        If a path was given and is no folder.
    UnknownNameError
        For an unknown name, with the valid ones.
    InputError
        For what is neither a name nor a path.
    """
    if not isinstance(name, (str, os.PathLike)):
        raise InputError(f"model: expected a name or the path of a folder, got {name!r}")
    text = os.fspath(name)
    # The names alone: a damaged card is a matter of its own model.
    known = sorted(path.parent.name for path in _FOLDER.glob("*/model.json"))
    if text in known:
        return _FOLDER / text
    if text and (os.sep in text or Path(text).exists()):
        if not Path(text).is_dir():
            raise FileError(f"{text}: expected the folder of a model, as `jpassed train` writes it")
        return Path(text)
    raise UnknownNameError("model", text, known)


def load_model(
    name: str | os.PathLike[str] | LoadedModel = "default", *, device: str = "cpu"
) -> LoadedModel:
    """Load a model.

    Parameters
    ----------
    name : str, path or LoadedModel
        An embedded model (`list_models`), or a folder that `jpassed train` wrote. A loaded model
        is returned as it is.
    device : str
        Where its weights go, e.g. ``"cpu"`` or ``"cuda"``.

    Returns
    -------
    LoadedModel
        With ``.name``, ``.version``, ``.digest`` and ``.card``.

    Raises
    ------
    UnknownNameError, FileError, ModelError
        An unknown name, a missing file, damaged or incompatible weights.

    Examples
    --------
    >>> import jpassed
    >>> model = jpassed.load_model()
    >>> model.name
    'default'
    """
    from jpassed.nn.checkpoint import LoadedModel, read_model

    if isinstance(name, LoadedModel):
        return name
    return read_model(find_model(name), device)


def model_vocabulary(name: str | os.PathLike[str] | LoadedModel = "default") -> Vocabulary:
    """The kinds that a model knows, without its weights being read.

    Parameters
    ----------
    name : str, path or LoadedModel
        As of `load_model`.

    Returns
    -------
    Vocabulary
        The common one for a model that is missing or damaged: `load_model` says what is wrong.
    """
    own = getattr(name, "vocabulary", None)
    if isinstance(own, Vocabulary):
        return own
    common = load_vocabulary()
    try:
        path = find_model(name) / "model.json"  # type: ignore[arg-type]
        card = json.loads(path.read_text("utf-8"))
        return common.extended([Kind(**entry) for entry in card.get("own_kinds", [])])
    except (OSError, ValueError, TypeError, AttributeError, JpassedError):
        return common
