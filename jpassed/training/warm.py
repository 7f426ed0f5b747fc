"""A training that starts from the weights of another: what fits is taken, the rest is told."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from jpassed.exceptions import FileError, ModelError
from jpassed.nn.checkpoint import CARD, WEIGHTS
from jpassed.nn.config import ModelConfig
from jpassed.nn.model import SEDModel
from jpassed.training.state import STATE
from jpassed.vocabulary import Vocabulary

__all__ = ["Weights", "read_weights", "start_from"]

logger = logging.getLogger(__name__)

BY_KIND = re.compile(
    r"(label\.kind\.weight|request_kind\.weight|head\.linear\.(weight|bias))$"
)
"""Tensors whose first axis is the kinds of the vocabulary."""

BINS = re.compile(r"redshift_head\.last\.(weight|bias)$")
"""Tensors whose first axis is the bins of redshift."""

BLOCK = re.compile(r"^(?P<block>.+?\.\d+)\.")
RETURN = re.compile(r"\.(out|down)\.(weight|bias)$")
"""Last layers of the branches of a residual block: with zeros there it is the identity."""


@dataclass(frozen=True)
class Weights:
    """Weights as they lie on disk.

    Attributes
    ----------
    tensors : dict
        By name, float32.
    card : dict
        What is known of them: the model's card, or the record of a training's state.
    digest : str
        First 16 hexadecimal digits of the SHA-256 of the file.
    """

    tensors: dict[str, Tensor]
    card: dict[str, Any]
    digest: str


def read_weights(path: str | os.PathLike[str]) -> Weights:
    """Read a model folder, the folder of a training, or one of their ``.safetensors`` files.

    Of a training the averaged weights of its newest checkpoint are read, in full precision.

    Raises
    ------
    FileError
        If there is no such file.
    ModelError
        If it is damaged.
    """
    from safetensors import SafetensorError, safe_open

    place = Path(os.path.expandvars(path)).expanduser()
    files = [place / STATE, place / WEIGHTS] if place.is_dir() else [place]
    file = next((f for f in files if f.is_file()), None)
    if file is None:
        raise FileError(
            f"no weights to start from at {place}: expected a folder with {STATE} or {WEIGHTS}, "
            "as `jpassed train` writes it"
        )
    try:
        with safe_open(str(file), framework="pt") as content:
            metadata = content.metadata() or {}
            prefix = "average/" if any(k.startswith("average/") for k in content.keys()) else ""
            tensors = {
                k[len(prefix) :]: content.get_tensor(k).float()
                for k in content.keys()
                if k.startswith(prefix)
            }
        digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
        card = file.with_name(CARD)
        record = json.loads(card.read_text("utf-8")) if card.is_file() else {}
        state = json.loads(metadata.get("record", "{}"))
    except (SafetensorError, ValueError) as exc:
        raise ModelError(f"cannot start from {file}: it is damaged: {exc}") from exc
    except OSError as exc:
        raise FileError(f"cannot read {file}: {exc}") from exc
    steps = {"steps": int(metadata["step"])} if "step" in metadata else {}
    return Weights(tensors, {**record, **state, **steps}, digest)


def start_from(
    network: SEDModel, path: str | os.PathLike[str], vocabulary: Vocabulary
) -> dict[str, Any]:
    """Copy into `network` what fits of the weights at `path`.

    Tensors are matched by name and shape. Those with a row a kind are matched by the kinds' names,
    or, where the source does not tell them, by position (bandflux has always been the last).
    Redshift bins that are a whole number of times finer share the probability of the source's.
    Residual blocks that the source lacks start as the identity; blocks that it has too many are
    left. So a network with more kinds, finer bins or more blocks predicts at first what the
    source predicts.

    Parameters
    ----------
    network : SEDModel
        Changed in place.
    path : path
        See `read_weights`.
    vocabulary : Vocabulary
        Of `network`.

    Returns
    -------
    dict
        For the card: ``name``, ``digest``, ``steps`` and ``objects`` of the source, the number of
        tensors that were ``copied``, how ``kinds`` were matched, ``bins_repeated``, what is
        ``new`` (not in the source), ``left`` (not in the network) and ``mismatched`` (with another
        shape: not copied).

    Raises
    ------
    FileError, ModelError
        If the source cannot be read, or nothing of it fits.
    """
    source = read_weights(path)
    kinds, how = _kinds(source, vocabulary)
    state = network.state_dict()
    finer = _bin_ratio(source.card, network.config)
    new, mismatched, fresh_kinds, copied = [], [], set(), 0
    repeated = 1
    had = {m["block"] for m in map(BLOCK.match, source.tensors) if m}
    with torch.no_grad():
        for name, target in state.items():
            given = source.tensors.get(name)
            if given is None:
                new.append(name)
                block = BLOCK.match(name)
                if block and block["block"] not in had and RETURN.search(name):
                    target.zero_()
                continue
            value: Tensor | None = given
            if BY_KIND.search(name) and kinds and given.shape[1:] == target.shape[1:]:
                rows = [(i, kinds[k]) for i, k in enumerate(vocabulary.names) if k in kinds]
                fresh_kinds |= set(vocabulary.names) - set(kinds)
                value = target.clone()
                if max(j for _, j in rows) < given.shape[0]:
                    value[[i for i, _ in rows]] = given[[j for _, j in rows]].to(value)
                else:
                    value = None
            elif BINS.search(name) and given.shape != target.shape:
                value, times = _repeated(given, target, finer)
                repeated = max(repeated, times)
            if value is None or value.shape != target.shape:
                mismatched.append(f"{name} {tuple(given.shape)} -> {tuple(target.shape)}")
                continue
            target.copy_(value)
            copied += 1
    if not copied:
        raise ModelError(f"nothing of the weights at {path} fits the model of this training")
    left = sorted(set(source.tensors) - set(state))
    record = {
        "name": Path(path).name,
        "digest": source.digest,
        "steps": source.card.get("steps"),
        "objects": source.card.get("objects"),
        "copied": copied,
        "kinds": how,
        "new_kinds": [k for k in vocabulary.names if k in fresh_kinds],
        "bins_repeated": repeated,
        "new": _grouped(new),
        "left": _grouped(left),
        "mismatched": mismatched,
    }
    logger.info("started from %s: %s", path, json.dumps(record))
    for what in ("new", "left", "mismatched"):
        if record[what]:
            logger.warning("start from %s: %s: %s", Path(path).name, what, record[what])
    return record


def _kinds(source: Weights, vocabulary: Vocabulary) -> tuple[dict[str, int], str]:
    """Rows of the source's kinds, and how they were found: "by name" or "by position"."""
    names = source.card.get("kinds")
    if isinstance(names, list):
        return {str(name): i for i, name in enumerate(names)}, "by name"
    count = next((len(v) for k, v in source.tensors.items() if BY_KIND.search(k)), 0)
    if not 2 <= count <= len(vocabulary):
        return {}, "none"
    found = {name: i for i, name in enumerate(vocabulary.names[: count - 1])}
    return {**found, vocabulary.names[-1]: count - 1}, "by position"


def _bin_ratio(card: Mapping[str, Any], config: ModelConfig) -> float | None:
    """Width of the source's redshift bins over the network's; None if it is not told."""
    for entry in (card.get("model"), card.get("training", {}).get("model")):
        if isinstance(entry, dict) and entry.get("redshift_bin"):
            return float(entry["redshift_bin"]) / config.redshift_bin
    return None


def _repeated(given: Tensor, target: Tensor, ratio: float | None) -> tuple[Tensor | None, int]:
    """Rows of coarse bins, each for all finer bins within it; None if they do not nest."""
    coarse, fine = given.shape[0], target.shape[0]
    times = round(ratio if ratio is not None else fine / coarse)
    nested = times >= 1 and times * (coarse - 1) < fine <= times * coarse
    if not nested or (ratio is not None and abs(ratio - times) > 1e-6 * times):
        return None, 1
    return given.repeat_interleave(times, 0)[:fine], times


def _grouped(names: list[str]) -> list[str]:
    """Names, with those of one block told as one."""
    found = {(m["block"] + ".*") if (m := BLOCK.match(name)) else name for name in names}
    return sorted(found)
