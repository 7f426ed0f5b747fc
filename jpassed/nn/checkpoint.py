"""Models on disk: a folder with ``model.safetensors`` and ``model.json``, no pickle."""

from __future__ import annotations

import hashlib
import json
import os
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from jpassed.exceptions import FileError, InputError, ModelError
from jpassed.nn.config import ModelConfig
from jpassed.nn.model import SEDModel
from jpassed.vocabulary import Kind, Vocabulary, load_vocabulary

__all__ = ["LoadedModel", "read_model", "write_model"]

FORMAT = 1
WEIGHTS = "model.safetensors"
CARD = "model.json"

NEXT = "sha256_next"
"""In a card: digest of the weights that were about to replace its own when it was written."""


@dataclass(frozen=True)
class LoadedModel:
    """A model ready for use.

    Attributes
    ----------
    network : SEDModel
        In evaluation mode, float32.
    card : dict
        Everything that was recorded with it (configuration, versions, provenance, figures).
    digest : str
        First 16 hexadecimal digits of the SHA-256 of the weights file.
    vocabulary : Vocabulary
        The kinds it knows: the common ones, and those that it learned besides.
    """

    network: SEDModel
    card: dict[str, Any]
    digest: str
    vocabulary: Vocabulary = field(default_factory=load_vocabulary)

    @property
    def name(self) -> str:
        """Name of the model."""
        return str(self.card.get("name", "unnamed"))

    @property
    def version(self) -> str:
        """Version of the model."""
        return str(self.card.get("version", "0"))


def write_model(
    folder: str | os.PathLike[str],
    state: Mapping[str, Tensor],
    config: ModelConfig,
    card: Mapping[str, Any],
    vocabulary: Vocabulary,
) -> Path:
    """Write weights as float16 and their card, both under temporary names first.

    Parameters
    ----------
    folder : path
        Made if it is missing.
    state : mapping
        Weights by name. Half precision keeps 11 bits of each; the network computes in float32
        or bfloat16 all the same.
    config : ModelConfig
    card : mapping
        Further records: training configuration, provenance, figures.
    vocabulary : Vocabulary
        Of the network. Kinds beyond the common ones go into the card.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FileError
        If the folder cannot be written.
    ModelError
        If a weight is not finite, or too large for half precision.
    """
    from safetensors.torch import save

    half = {k: v.detach().to("cpu", torch.float16).contiguous() for k, v in state.items()}
    for name, value in half.items():
        if not bool(torch.isfinite(value).all()):
            raise ModelError(
                f"cannot write the model: {name} holds weights that are not finite in half "
                "precision; train with a smaller learning rate"
            )
    blob = save(half)
    record = {
        "format": FORMAT,
        **card,
        "model": config.as_dict(),
        "vocabulary": load_vocabulary().digest,
        **_own_kinds(vocabulary),
        "sha256": hashlib.sha256(blob).hexdigest(),
        "parameters": int(sum(v.numel() for v in half.values())),
    }
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder, blob, record)
    except OSError as exc:
        raise FileError(f"cannot write the model to {folder}: {exc}") from exc
    return folder


def _own_kinds(vocabulary: Vocabulary) -> dict[str, Any]:
    """What the card says of kinds beyond the common ones; nothing if there are none."""
    own = vocabulary.kinds[len(load_vocabulary()) :]
    return {"own_kinds": [asdict(kind) for kind in own]} if own else {}


def _whole_vocabulary(card: Mapping[str, Any], folder: Path) -> Vocabulary:
    """The common kinds and those that the card adds."""
    vocabulary = load_vocabulary()
    if card.get("vocabulary") != vocabulary.digest:
        raise ModelError(
            f"{folder} was trained with vocabulary {card.get('vocabulary')}, this version of "
            f"jpassed has {vocabulary.digest}: use the jpassed version in its card "
            f"({card.get('package_version')}), or train again"
        )
    try:
        return vocabulary.extended([Kind(**entry) for entry in card.get("own_kinds", [])])
    except (TypeError, InputError) as exc:
        raise ModelError(
            f"{folder / CARD}: its own kinds are not those of this version of jpassed: {exc}"
        ) from exc


def _replace(folder: Path, blob: bytes, record: Mapping[str, Any]) -> None:
    """Exchange weights and card so that a kill at any moment leaves a model that can be read.

    Two files cannot change at once: the old card first tells the digest of the weights that are to
    come, then the weights take their place, then their card.
    """
    weights, card = folder / WEIGHTS, folder / CARD
    ready = [p.with_name(f".{p.name}.{os.getpid()}.tmp") for p in (weights, card)]
    try:
        ready[0].write_bytes(blob)
        before = _old_card(card)
        if before is not None and weights.is_file():
            ready[1].write_bytes(_as_bytes({**before, NEXT: record["sha256"]}))
            os.replace(ready[1], card)
        ready[1].write_bytes(_as_bytes(record))
        os.replace(ready[0], weights)
        os.replace(ready[1], card)
    finally:
        for path in ready:
            path.unlink(missing_ok=True)


def _as_bytes(card: Mapping[str, Any]) -> bytes:
    return (json.dumps(card, indent=2, sort_keys=False) + "\n").encode()


def _old_card(path: Path) -> dict[str, Any] | None:
    """The card that is there; None if there is none that can be read."""
    try:
        card = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return card if isinstance(card, dict) else None


def read_model(folder: str | os.PathLike[str], device: str | torch.device = "cpu") -> LoadedModel:
    """Read a model folder.

    Parameters
    ----------
    folder : path
        Folder with ``model.safetensors`` and ``model.json``.
    device : str or torch.device

    Raises
    ------
    FileError
        If a file is missing, or cannot be read.
    ModelError
        If the files are damaged, of another format, or made with another vocabulary.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    folder = Path(folder)
    for name in (WEIGHTS, CARD):
        if not (folder / name).is_file():
            raise FileError(
                f"{folder} is not a model: {name} is missing. A model is a folder with "
                f"{WEIGHTS} and {CARD}, as `jpassed train` writes it"
            )
    try:
        card = json.loads((folder / CARD).read_text("utf-8"))
        blob = (folder / WEIGHTS).read_bytes()
    except OSError as exc:
        raise FileError(f"cannot read the model in {folder}: {exc}") from exc
    except ValueError as exc:  # of which a text that is not UTF-8 is one
        raise ModelError(f"{folder / CARD} is damaged: {exc}. Install the model again") from exc
    digest = hashlib.sha256(blob).hexdigest()
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise ModelError(
            f"{folder}: expected a model of format {FORMAT}; update jpassed, or train again"
        )
    if digest not in (card.get("sha256"), card.get(NEXT)):
        raise ModelError(
            f"{folder / WEIGHTS} is damaged: its SHA-256 {digest[:16]} is not the recorded "
            f"{str(card.get('sha256'))[:16]}. Install the model again"
        )
    vocabulary = _whole_vocabulary(card, folder)
    try:
        config = ModelConfig.from_dict(card["model"])
    except (KeyError, TypeError, AttributeError, InputError) as exc:
        raise ModelError(
            f"{folder / CARD}: its model settings are not those of this version of jpassed: {exc}"
        ) from exc
    network = SEDModel(config, vocabulary)
    try:
        network.load_state_dict({k: v.float() for k, v in load(blob).items()})
    except (SafetensorError, RuntimeError) as exc:
        # torch reports every tensor on a line of its own; one line with the first says enough.
        reason = textwrap.shorten(str(exc), 300, placeholder=" ...")
        raise ModelError(f"{folder / WEIGHTS} does not fit its card: {reason}") from exc
    return LoadedModel(network.eval().to(device), card, digest[:16], vocabulary)
