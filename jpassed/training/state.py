"""The state of a training on disk, without pickle: resumable after a kill at any moment."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from jpassed.exceptions import FileError, ModelError
from jpassed.nn.checkpoint import CARD, NEXT, WEIGHTS
from jpassed.training.journal import CSV, LOG
from jpassed.training.muon import Optimisers

__all__ = ["changed_settings", "clear_leftovers", "is_model", "read_state", "write_state"]

logger = logging.getLogger(__name__)

STATE = "state.safetensors"


def write_state(
    folder: Path,
    step: int,
    network: nn.Module,
    average: dict[str, Tensor],
    optimiser: torch.optim.Optimizer | Optimisers,
    record: dict[str, Any],
) -> None:
    """Write everything a resumed training needs, atomically, into one file."""
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        tensors[f"network/{name}"] = value
    for name, value in average.items():
        tensors[f"average/{name}"] = value
    for index, entry in optimiser.state_dict()["state"].items():
        for key, value in entry.items():
            tensors[f"optimiser/{index}/{key}"] = torch.as_tensor(value)
    tensors = {k: v.detach().to("cpu").contiguous().clone() for k, v in tensors.items()}
    temporary = folder / f".{STATE}.{os.getpid()}.tmp"
    metadata = {"step": str(step), "record": json.dumps(record)}
    try:
        save_file(tensors, str(temporary), metadata=metadata)
        os.replace(temporary, folder / STATE)
    except OSError as exc:
        raise FileError(f"cannot write the checkpoint in {folder}: {exc}") from exc


def clear_leftovers(folder: Path) -> None:
    """Remove the unfinished files that a killed training left under temporary names."""
    for name in (STATE, WEIGHTS, CARD, LOG, CSV):
        for path in folder.glob(f".{name}.*.tmp"):
            path.unlink(missing_ok=True)


def is_model(folder: Path) -> bool:
    """Whether the folder holds a model whose two files belong together, and no trace of a kill."""
    try:
        card = json.loads((folder / CARD).read_text("utf-8"))
        digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    except (OSError, ValueError):
        return False
    return isinstance(card, dict) and card.get("sha256") == digest and NEXT not in card


def read_state(
    folder: Path,
    network: nn.Module,
    average: dict[str, Tensor],
    optimiser: torch.optim.Optimizer | Optimisers,
    optimiser_name: str = "adamw",
) -> tuple[int, dict[str, Any]]:
    """Read a checkpoint into the given objects.

    Where it was written with another optimiser than `optimiser_name`, that one begins without
    memory.

    Returns
    -------
    step : int
        Steps that are done.
    record : dict
        As it was written.

    Raises
    ------
    FileError
        If there is no checkpoint.
    ModelError
        If it is damaged, or of another model.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / STATE
    if not path.is_file():
        raise FileError(f"{folder} has no checkpoint ({STATE}) to resume from")
    device = next(network.parameters()).device
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata()
            tensors = {key: file.get_tensor(key).to(device) for key in file.keys()}
        network.load_state_dict(_part(tensors, "network/"))
    except (SafetensorError, RuntimeError) as exc:
        raise ModelError(f"{path} is damaged or belongs to another model: {exc}") from exc
    for name, value in _part(tensors, "average/").items():
        average[name].copy_(value)
    record = json.loads(metadata["record"])
    before = record.get("optimiser", "adamw")
    if before != optimiser_name:
        logger.warning(
            "the checkpoint is of %s: %s begins without its memory", before, optimiser_name
        )
        return int(metadata["step"]), record
    state = optimiser.state_dict()
    entries: dict[int, dict[str, Tensor]] = {}
    for key, value in _part(tensors, "optimiser/").items():
        index, field = key.split("/")
        entries.setdefault(int(index), {})[field] = value
    optimiser.load_state_dict({**state, "state": entries})
    return int(metadata["step"]), record


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}


def changed_settings(old: Any, new: Any, name: str = "") -> dict[str, list[Any]]:
    """Settings that differ, by dotted name: [old, new]. Nothing where `old` was not recorded."""
    if isinstance(old, dict) and isinstance(new, dict):
        found: dict[str, list[Any]] = {}
        for key in old.keys() & new.keys():
            inside = f"{name}.{key}" if name else key
            found.update(changed_settings(old[key], new[key], inside))
        return dict(sorted(found.items()))
    return {} if old == new else {name: [old, new]}
