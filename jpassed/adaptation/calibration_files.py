"""Model folders with recalibrations: written beside their parent, changed, and taken back."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jpassed.weights
from jpassed.exceptions import FileError, InputError, ModelError
from jpassed.io.atomic import atomic_output
from jpassed.io.folders import atomic_folder, check_folder
from jpassed.weights import find_model, list_models

__all__ = [
    "CARD",
    "RECALIBRATION",
    "RECORDS",
    "check_new",
    "check_outside",
    "own_folder",
    "undone",
    "update_model",
    "write_beside",
]

CARD = "model.json"
RECALIBRATION = "recalibration"
"""Entry of a card with the maps that are applied, by quantity."""
RECORDS = "calibrations"
"""Entry of a card that tells where they come from, the last one last."""

EMBEDDED = Path(jpassed.weights.__file__).parent


def own_folder(model: Any) -> Path:
    """The folder of a model that may be changed.

    Raises
    ------
    InputError
        For a loaded model: it may be in no folder.
    ModelError
        For an embedded model.
    """
    folder = _folder(model)
    if EMBEDDED.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise ModelError(
            f"{os.fspath(model)} is embedded in the package and stays as it is: write the "
            "result to a folder of its own (-o FOLDER)"
        )
    return folder


def check_new(model: Any, output: str | os.PathLike[str], overwrite: bool) -> Path:
    """Refuse a folder that cannot be written, before any work is done for it.

    Raises
    ------
    FileError
        If it exists and may not be replaced, or is no model's folder, or is the parent's own.
    """
    source, target = _folder(model), Path(output)
    if target.resolve() == source.resolve():
        raise FileError(f"{target} is the model to start from; --in-place changes it")
    check_outside(target)
    check_folder(target, overwrite, marks=(CARD,))
    return target


def check_outside(target: Path) -> None:
    """Refuse a folder inside the package, and one that ``--model`` could not name.

    Raises
    ------
    FileError
        Says what to do.
    """
    if EMBEDDED.resolve() in (target.resolve(), *target.resolve().parents):
        raise FileError(f"{target} is inside the package; name a folder of your own")
    if os.fspath(target) in list_models():
        raise FileError(
            f"{target} is the name of an embedded model, which would be taken instead of the "
            "folder; choose another name"
        )


def write_beside(model: Any, target: Path, card: Mapping[str, Any], overwrite: bool) -> None:
    """A copy of a model's folder with another card; it appears when it is whole.

    Raises
    ------
    FileError
        See `check_new`; also if the system refuses to write.
    """
    source = _folder(model)
    with atomic_folder(target, overwrite, marks=(CARD,)) as temporary:
        for path in sorted(source.iterdir()):
            if path.suffix in (".json", ".safetensors") and path.name != CARD:
                shutil.copyfile(path, temporary / path.name)
        (temporary / CARD).write_text(_text(card), "utf-8")


def update_model(folder: Path, card: Mapping[str, Any]) -> None:
    """Replace the card of a model.

    Raises
    ------
    ModelError
        For an embedded model.
    """
    path = own_folder(folder) / CARD
    with atomic_output(path, overwrite=True) as temporary:
        temporary.write_text(_text(card), "utf-8")


def undone(folder: str | os.PathLike[str]) -> tuple[dict[str, Any], list[str]]:
    """The card of a model without its last calibration, and the quantities that it was of.

    Raises
    ------
    ModelError
        If there is none, or the card is damaged.
    """
    path = own_folder(folder) / CARD
    try:
        card = json.loads(path.read_text("utf-8"))
        records = list(card.get(RECORDS) or [])
        last = records[-1] if records else {"quantities": {}}
        maps = dict(card.get(RECALIBRATION) or {})
        names = [name for name, entry in last["quantities"].items() if entry["taken"]]
        for name in names:
            before = last["quantities"][name]["before"]
            if before is None:
                maps.pop(name, None)
            else:
                maps[name] = before
    except OSError as exc:
        raise FileError(f"cannot read {path}: {exc}") from exc
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ModelError(f"{path} is damaged: {exc!r}") from exc
    if not records:
        raise ModelError(
            f"{folder} holds no calibration of its own: what its parent's training put there stays"
        )
    card[RECALIBRATION], card[RECORDS] = maps, records[:-1]
    for entry in (RECALIBRATION, RECORDS):
        if not card[entry]:
            del card[entry]
    return card, names


def _folder(model: Any) -> Path:
    if not isinstance(model, (str, os.PathLike)):
        raise InputError(
            "a model that is loaded already has no folder to copy from: give its name or its "
            "folder, or no output"
        )
    return find_model(model)


def _text(card: Mapping[str, Any]) -> str:
    return json.dumps(card, indent=2) + "\n"
