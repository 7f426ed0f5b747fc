"""Simulated galaxies that a fine-tuning shows again, so that the model forgets nothing.

The package ships no grid of stellar populations: a sample of noise-free galaxies lies in
``data/replay.safetensors`` instead, and every draw puts fresh noise on it. `tools/make_replay.py`
makes it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

import jpassed
from jpassed.exceptions import FileError, InputError
from jpassed.filters import FilterSet, load_filters
from jpassed.simulator import GalaxySimulator, read_ssp
from jpassed.tokens.build import BandLayout
from jpassed.tokens.scaling import LabelScaling
from jpassed.training.config import MixConfig, SimulationConfig
from jpassed.training.pool import Galaxies, GalaxyPool, GalaxyStore
from jpassed.training.sources import Observation, SimulatedSource
from jpassed.training.steps import Question, Questioner
from jpassed.vocabulary import Vocabulary, load_vocabulary

if TYPE_CHECKING:
    from jpassed.nn.checkpoint import LoadedModel

__all__ = [
    "HELD_OUT", "Replay", "StoredGalaxies", "read_replay", "simulate_replay", "weights_of",
    "write_replay",
]  # fmt: skip

FILE = Path(__file__).with_name("data") / "replay.safetensors"

REFERENCE = "rSDSS"
"""Bandfluxes are kept relative to this one: half precision is then good to 0.0005."""

FAINTEST = -15.0
"""ln of the smallest bandflux that is kept, relative to the reference."""

MARGIN = 0.3
"""mag beyond the limit of the selection to which true magnitudes go."""

HELD_OUT = 512
"""The last galaxies of a sample are never trained on: they tell what was forgotten."""


@dataclass(frozen=True)
class StoredGalaxies:
    """Noise-free galaxies in a file.

    Attributes
    ----------
    galaxies : Galaxies
    bands : tuple of str
    names : tuple of str
        Label columns.
    simulation : SimulationConfig
        Filter sets, noise presets and selection that they are observed with.
    provenance : dict
        What made them.
    """

    galaxies: Galaxies
    bands: tuple[str, ...]
    names: tuple[str, ...]
    simulation: SimulationConfig
    provenance: dict[str, Any]


def write_replay(path: Path, stored: StoredGalaxies) -> None:
    """Write a sample, in half precision but for redshifts."""
    from safetensors.torch import save_file

    g = stored.galaxies
    reference = g.bandflux[:, stored.bands.index(REFERENCE)].double().log()
    relative = g.bandflux.double().clamp(min=1e-30).log() - reference.unsqueeze(1)
    labels = torch.where(g.observable, g.labels, torch.nan)
    z = labels[:, stored.names.index("z")].float()
    tensors = {
        "log_reference": reference.float(),
        "log_relative": relative.clamp(min=FAINTEST).half(),
        "labels": labels.half(),
        "z": z,
        "mag_r": g.mag_r.float(),
        "log_weight": g.log_weight.half(),
    }
    simulation = {
        f.name: getattr(stored.simulation, f.name)
        for f in fields(SimulationConfig)
        if f.name not in ("ssp", "lines")
    }
    metadata = {
        "bands": json.dumps(stored.bands),
        "labels": json.dumps(stored.names),
        "simulation": json.dumps(simulation),
        "provenance": json.dumps(stored.provenance),
    }
    save_file({k: v.contiguous() for k, v in tensors.items()}, str(path), metadata=metadata)


def read_replay(path: Path = FILE) -> StoredGalaxies:
    """Read a sample.

    Raises
    ------
    FileError
        If the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata()
            t = {key: file.get_tensor(key) for key in file.keys()}
        bands, names = (tuple(json.loads(metadata[key])) for key in ("bands", "labels"))
        settings = json.loads(metadata["simulation"])
        provenance = json.loads(metadata["provenance"])
    except (OSError, SafetensorError, KeyError, ValueError) as exc:
        raise FileError(f"cannot read the galaxies to replay in {path}: {exc}") from exc
    labels = t["labels"].float()
    labels[:, names.index("z")] = t["z"]
    known = torch.isfinite(labels)
    galaxies = Galaxies(
        (t["log_relative"].float() + t["log_reference"].unsqueeze(1)).exp(),
        torch.where(known, labels, 0.0),
        known,
        t["mag_r"],
        t["log_weight"].float(),
    )
    plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
    return StoredGalaxies(galaxies, bands, names, SimulationConfig(**plain), provenance)


def simulate_replay(
    simulation: SimulationConfig,
    ssp: tuple[str, ...],
    lines: str | None,
    seed: int,
    count: int = 8192,
) -> StoredGalaxies:
    """Simulate a sample.

    Parameters
    ----------
    simulation : SimulationConfig
        Filter sets and limits.
    ssp : tuple of str
        Grids of stellar populations.
    lines : str, optional
        CloudyFSPS line table.
    seed : int
    count : int
        Galaxies, flattened in redshift and magnitude.

    Raises
    ------
    FileError, InputError
        For grids that cannot be read.
    """
    passbands = [band for entry in simulation.bands for band in _group(entry)]
    grids = [read_ssp(path) for path in ssp]
    shares = simulation.shares if len(simulation.shares) == len(grids) else ()
    simulator = GalaxySimulator(
        grids if len(grids) > 1 else grids[0],
        [(b.name, b.wave, b.throughput) for b in passbands],
        lines=lines,
        balance=1.0,
        r_limit=simulation.r_limit,
        shares=shares or None,
    )
    names = load_vocabulary().scalars
    pool = GalaxyPool(
        simulator, names, seed=seed, size=count, segment=count,
        faintest=simulation.r_select + MARGIN,
    )  # fmt: skip
    pool.fill()
    if pool.galaxies is None:
        raise RuntimeError("no galaxies")
    files = [Path(path) for path in (*ssp, *([lines] if lines else []))]
    provenance = {
        "seed": seed,
        "galaxies": count,
        "package_version": jpassed.__version__,
        "files": {p.name: hashlib.sha256(p.read_bytes()).hexdigest()[:16] for p in files},
        "density": "balance 1.0: flattened in redshift and magnitude, log_weight gives the prior",
    }
    bands = tuple(band.name for band in passbands)
    return StoredGalaxies(pool.galaxies, bands, names, simulation, provenance)


class Replay:
    """Questions about simulated galaxies, as in the training of the model.

    Parameters
    ----------
    stored : StoredGalaxies
    model : LoadedModel
        Whose card tells the mix of the training.
    vocabulary : Vocabulary
        May hold kinds that the galaxies have no label of.
    """

    def __init__(self, stored: StoredGalaxies, model: LoadedModel, vocabulary: Vocabulary) -> None:
        self.provenance = stored.provenance
        count = len(stored.galaxies.mag_r) - HELD_OUT
        if count < HELD_OUT:
            raise InputError(
                f"replay: expected at least {2 * HELD_OUT} galaxies, got {count + HELD_OUT}"
            )
        sets = [_columns(entry, stored.bands) for entry in stored.simulation.bands]
        passbands = _passbands(stored.simulation.bands)
        layout = BandLayout.make(
            stored.bands,
            [passbands[name][0] for name in stored.bands],
            [passbands[name][1] for name in stored.bands],
            model.network.config.patch_bands,
        )
        self.scaling = LabelScaling.from_vocabulary(vocabulary, stored.names)
        self.mix = _mix(model.card)
        self.questioner = Questioner(layout, sets[0], sets[1:], vocabulary, self.scaling, self.mix)
        self.trained, self.held_out = (
            self._source(stored, slice(*ends)) for ends in ((0, count), (count, count + HELD_OUT))
        )

    def _source(self, stored: StoredGalaxies, rows: slice) -> SimulatedSource:
        store = GalaxyStore(
            stored.names, torch.device("cpu"), density=self.mix.density, clip=self.mix.clip
        )
        store.hold(Galaxies(*(getattr(stored.galaxies, f)[rows] for f in Galaxies.__annotations__)))
        return SimulatedSource(store, stored.bands, stored.simulation)

    def ask(self, n: int, generator: torch.Generator) -> Question:
        """A question about n galaxies with fresh noise."""
        return self.questioner.ask(self.trained.draw(n, generator), generator)

    def unseen(self, n: int, seed: int) -> Observation:
        """Galaxies that are never trained on, with noise that depends on the seed alone."""
        generator = torch.Generator().manual_seed(seed)
        return self.held_out.draw(n, generator)


def _columns(entry: str, bands: tuple[str, ...]) -> list[int]:
    return [bands.index(name) for name in _passbands((entry,)) if name in bands]


def _passbands(entries: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """Pivot and width of the bands of filter sets, or of some: ``"wise: wise_w1 wise_w2"``."""
    return {
        band.name: (float(band.pivot_wavelength), float(band.equivalent_width))
        for entry in entries
        for band in _group(entry)
    }


def _group(entry: str) -> FilterSet:
    name, _, chosen = entry.partition(":")
    filters = load_filters(name.strip())
    return filters.select(chosen.split()) if chosen.strip() else filters


def _mix(card: Mapping[str, Any]) -> MixConfig:
    """The mix of the model's training, as far as its card and this version know it."""
    known = {f.name for f in fields(MixConfig)}
    told = card.get("training", {}).get("mix", {})
    mix = replace(MixConfig(), **{k: v for k, v in told.items() if k in known})
    # The dense and broad questions are other ways to the same end; here one question does.
    return replace(mix, dense=0, broad=0)


def weights_of(mix: MixConfig, names: tuple[str, ...]) -> Tensor:
    """Weight of each request in the loss (R,)."""
    return torch.tensor([mix.weights.get(name.partition(":")[0], 1.0) for name in names])
