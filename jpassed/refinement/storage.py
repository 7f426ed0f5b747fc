"""Refinements on disk: ``refine.safetensors`` and ``refine.json`` in the folder of a model."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from jpassed.exceptions import FileError, ModelError
from jpassed.nn.checkpoint import LoadedModel
from jpassed.refinement.coordinates import NAMES
from jpassed.refinement.emulator import EmulatorNet
from jpassed.refinement.fit_proposal import ProposalNets
from jpassed.refinement.flow import AutoregressiveMixture
from jpassed.simulator.lines import LineModel
from jpassed.weights import find_model, list_models

__all__ = ["CARD", "WEIGHTS", "Refinement", "load_refinement", "write_refinement"]

FORMAT = 1
WEIGHTS, CARD = "refine.safetensors", "refine.json"


@dataclass(frozen=True)
class Refinement:
    """What refines the posteriors of one network.

    Attributes
    ----------
    emulator : EmulatorNet
    prior : AutoregressiveMixture
        Of the core coordinates at given redshift and magnitude.
    proposal : ProposalNets
    card : dict
        ``network`` is the digest of the network that the proposal reads.
    """

    emulator: EmulatorNet
    prior: AutoregressiveMixture
    proposal: ProposalNets
    card: dict[str, Any]

    @property
    def line_wave(self) -> Any:
        """Vacuum wavelengths of the emulator's lines, Å."""
        return LineModel(None).wave


def write_refinement(folder: str | os.PathLike[str], parts: Refinement) -> Path:
    """Write a refinement beside its network, each file as a whole or not at all.

    The proposal and the prior are kept in half precision, the emulator's numbers in single
    precision where they are read out of a least-squares fit, whose terms cancel, as are the means
    and covariances of coordinates.

    Parameters
    ----------
    folder : path
        That of the network.
    parts : Refinement

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FileError
        If the folder cannot be written.
    """
    from safetensors.torch import save

    state: dict[str, Tensor] = {}
    for name, module in _modules(parts).items():
        for key, value in module.state_dict().items():
            half = value.is_floating_point() and name != "emulator"
            half = half and not key.endswith(("loc", "root"))
            state[f"{name}.{key}"] = (value.half() if half else value).contiguous()
    blob = save(state)
    card = {
        "format": FORMAT,
        **parts.card,
        "coordinates": list(NAMES),
        "sizes": {name: module.sizes for name, module in _modules(parts).items()},
        "sha256": hashlib.sha256(blob).hexdigest(),
    }
    folder = Path(folder)
    for name, content in ((WEIGHTS, blob), (CARD, (json.dumps(card, indent=2) + "\n").encode())):
        temporary = folder / f".{name}.{os.getpid()}.tmp"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(content)
            os.replace(temporary, folder / name)
        except OSError as exc:
            raise FileError(f"cannot write the refinement to {folder}: {exc}") from exc
        finally:
            temporary.unlink(missing_ok=True)
    return folder


def _modules(parts: Refinement) -> dict[str, Any]:
    return {"emulator": parts.emulator, "prior": parts.prior, "proposal": parts.proposal}


def read_refinement(folder: str | os.PathLike[str], digest: str) -> Refinement:
    """Read the refinement of a network.

    Parameters
    ----------
    folder : path
        Of the model.
    digest : str
        Of the network in use, see `LoadedModel`.

    Raises
    ------
    ModelError
        If there is none, or it is damaged, or of another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    folder = Path(folder)
    if not (folder / CARD).is_file() or not (folder / WEIGHTS).is_file():
        raise ModelError(
            f"{folder} has no refinement ({WEIGHTS}): refine=N needs one. Fit it with "
            "`python tools/fit_refinement.py`, or annotate without refine (that of another "
            "network, such as the one a fine-tuning started from, does not fit)"
        )
    try:
        card = json.loads((folder / CARD).read_text("utf-8"))
        blob = (folder / WEIGHTS).read_bytes()
    except (OSError, ValueError) as exc:
        raise ModelError(f"the refinement in {folder} cannot be read: {exc}") from exc
    if card.get("format") != FORMAT or card.get("coordinates") != list(NAMES):
        raise ModelError(f"the refinement in {folder} is of another version of jpassed: fit again")
    if hashlib.sha256(blob).hexdigest() != card.get("sha256"):
        raise ModelError(f"{folder / WEIGHTS} is damaged: its SHA-256 is not the recorded one")
    if card.get("network") != digest:
        raise ModelError(
            f"the refinement in {folder} belongs to the network {card.get('network')}, the model "
            f"in use is {digest}: its proposal would be wrong. Fit it again with "
            "`python tools/fit_refinement.py`, or annotate without refine"
        )
    try:
        sizes = card["sizes"]
        parts = Refinement(
            EmulatorNet(**sizes["emulator"]), _mixture(sizes["prior"]),
            ProposalNets(**sizes["proposal"]), card,
        )  # fmt: skip
        state = load(blob)
        for name, module in _modules(parts).items():
            own = {k.partition(".")[2]: v for k, v in state.items() if k.startswith(f"{name}.")}
            module.load_state_dict(
                {k: v.float() if v.dtype == torch.float16 else v for k, v in own.items()}
            )
            module.eval().requires_grad_(False)
    except (KeyError, TypeError, RuntimeError, SafetensorError) as exc:
        raise ModelError(f"the refinement in {folder} does not fit its card: {exc}") from exc
    return parts


def _mixture(sizes: dict[str, int]) -> AutoregressiveMixture:
    values = dict(sizes)
    return AutoregressiveMixture(
        values.pop("first"), values.pop("last"), values.pop("size"), **values
    )


def load_refinement(model: LoadedModel, source: Any = None) -> Refinement:
    """The refinement of a model.

    Parameters
    ----------
    model : LoadedModel
        The network in use.
    source : str, path or LoadedModel, optional
        What it was loaded from. Without it an embedded model of the same digest is looked for.

    Returns
    -------
    Refinement

    Raises
    ------
    ModelError
        If there is none, or it belongs to another network.
    """
    if isinstance(source, (str, os.PathLike)):
        return read_refinement(find_model(source), model.digest)
    for name, card in list_models().items():
        if str(card.get("sha256", ""))[:16] == model.digest:
            return read_refinement(find_model(name), model.digest)
    raise ModelError(
        f"no embedded model has the digest {model.digest} of the model in use: name its folder "
        "(model=PATH) to refine its posteriors"
    )
