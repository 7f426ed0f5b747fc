"""Configuration of a training, read from YAML. Unknown keys are refused."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from jpassed.exceptions import FileError, InputError, UnknownNameError
from jpassed.nn.config import ModelConfig
from jpassed.objectives import check_objective

__all__ = [
    "MixConfig", "OptimiserConfig", "SimulationConfig", "TableConfig", "TrainingConfig",
    "WatchConfig",
]  # fmt: skip


OPTIMISERS = ("adamw", "muon")


@dataclass(frozen=True)
class SimulationConfig:
    """Where simulated galaxies come from.

    Attributes
    ----------
    ssp : tuple of str
        SSP grid files; environment variables are expanded. The command line may replace them.
    shares : tuple of float
        Share of the galaxies that each grid makes; empty for equal ones.
    lines : str or None
        CloudyFSPS line table; None takes the embedded ratios.
    priors : str or None
        Priors of the galaxies: a name of `jpassed.simulator.priors.PRESETS`, or a YAML file; None
        for galaxies-v1.
    bands : tuple of str
        Filter sets that are simulated; the first is the patch.
    noise : str
        Noise preset of the patch bands.
    noise_other : tuple of str
        Presets of the other bands.
    noise_galex : tuple of str
        GALEX presets; every training step draws one.
    pool, segment : int
        Galaxies kept in memory, and how many are simulated at a time.
    refresh_every : int
        Steps after which one segment of the pool is simulated anew.
    r_limit, r_select : float
        Galaxies are simulated to true r < r_limit and selected on noisy r < r_select.
    """

    ssp: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()
    lines: str | None = None
    priors: str | None = None
    bands: tuple[str, ...] = ("jpas", "galex")
    noise: str = "minijpas-v1"
    noise_other: tuple[str, ...] = ()
    noise_galex: tuple[str, ...] = ("galex-ais", "galex-mis", "galex-dis")
    pool: int = 262144
    segment: int = 8192
    refresh_every: int = 20
    r_limit: float = 24.0
    r_select: float = 22.7


@dataclass(frozen=True)
class TableConfig:
    """A table of real objects with labels, mixed into the simulated ones.

    Attributes
    ----------
    path : str
        Any catalogue that `jpassed annotate` reads, or a folder that `jpassed fetch` made.
    labels : dict
        Quantity to column, as in ``annotate(context=...)``; a training set of `jpassed fetch`
        knows its own.
    share : float
        Share of every batch.
    survey : str
    """

    path: str
    labels: dict[str, str] = field(default_factory=dict)
    share: float = 0.1
    survey: str = "auto"


@dataclass(frozen=True)
class MixConfig:
    """What a training step shows and asks; shares of the steps, normalised to their sum.

    Attributes
    ----------
    full, partial, surveys, joined : float
        All patch bands; a random part of them; only other surveys' bands; both.
    labels : float
        Share of the steps in which labels are in the context.
    only_labels : float
        Share of the steps with labels and at most a few bands (labels to SED).
    most_labels : int
        Largest number of labels in a usual context.
    noisy : float
        Share of the context labels that carry an error.
    requests, bands : int
        Requests a step, and how many of them are bandfluxes.
    dense : int
        Further objects a step of which all labels are asked from the patch's bands alone, by the
        model's dense readout: cheap, as nothing is decoded.
    dense_weight : float
        Weight of their loss beside that of the requests.
    broad : int
        Further objects a step that show other surveys' bands alone: few tokens, cheap.
    broad_weight : float
        Weight of their loss beside that of the requests.
    broad_requests, broad_bands : int
        Requests to them, and how many of these are bandfluxes.
    balance : float
        How far the simulator flattens redshift and magnitude: 0 draws the declared prior.
    density : float
        Exponent of the density weighting in redshift, magnitude, EW and colour; 0 for none.
    clip : float
        Largest weight of a rare object.
    prior : {"declared", "balanced"}
        "declared" multiplies the loss by 1 / w, "balanced" leaves it out.
    heaviest : float
        Largest weight in the loss over the mean of a batch: no object rules a step.
    weights : dict
        Weight of each kind in the loss, 1 if not named.
    """

    full: float = 0.40
    partial: float = 0.35
    surveys: float = 0.12
    joined: float = 0.13
    labels: float = 0.25
    only_labels: float = 0.06
    most_labels: int = 5
    noisy: float = 0.5
    requests: int = 16
    bands: int = 6
    dense: int = 0
    dense_weight: float = 1.0
    broad: int = 0
    broad_weight: float = 1.0
    broad_requests: int = 6
    broad_bands: int = 2
    balance: float = 1.0
    density: float = 0.3
    clip: float = 5.0
    prior: str = "declared"
    heaviest: float = 20.0
    weights: dict[str, float] = field(default_factory=lambda: {"z": 3.0, "flux": 0.5})


@dataclass(frozen=True)
class OptimiserConfig:
    """An optimiser with warm-up, a plateau, and a decay to zero over the last `decay` steps.

    Attributes
    ----------
    name : {"adamw", "muon"}
        "muon" updates the hidden matrices by orthogonalised momentum, the rest by AdamW.
    steps, batch : int
    learning_rate : float
        On the plateau.
    warmup, decay : int
        Steps.
    weight_decay, clip_norm : float
    ema : float
        Decay of the moving average of the weights, which is what is kept as the model.
    precision : {"bfloat16", "float32"}
    checkpoint_every, validate_every : int
        Steps.
    validation : int
        Objects of the figures in the log.
    threads : int
        CPU threads, 0 for torch's default.
    """

    name: str = "adamw"
    steps: int = 10000
    batch: int = 1024
    learning_rate: float = 1e-3
    warmup: int = 300
    decay: int = 2500
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    ema: float = 0.999
    precision: str = "bfloat16"
    checkpoint_every: int = 500
    validate_every: int = 500
    validation: int = 4096
    threads: int = 0


@dataclass(frozen=True)
class WatchConfig:
    """When a training is held to diverge, and what then happens.

    The defaults gave no alarm in the 11,000 steps of the first embedded model.

    Attributes
    ----------
    on_divergence : {"stop", "rollback"}
        "stop" ends the training, its last checkpoint kept; "rollback" goes on from that with half
        the learning rate and other random questions.
    skips : int
        Steps in a row without a finite loss and gradient after which a training diverges. Such
        steps are left out.
    drift : float
        It diverges, too, where the median loss of 50 steps lies so many scatters (1.4826 MAD)
        above that of the window before.
    deviations, norm_ratio : float
        A warning is given for a loss so many scatters above the window's median, and for a
        gradient so many times its median norm.
    window : int
        Steps, 150 or more.
    rollbacks : int
        After so many the training stops.
    """

    on_divergence: str = "stop"
    skips: int = 10
    drift: float = 3.0
    deviations: float = 8.0
    norm_ratio: float = 50.0
    window: int = 200
    rollbacks: int = 3


@dataclass(frozen=True)
class TrainingConfig:
    """Everything a training depends on; kept in every checkpoint and model card.

    Attributes
    ----------
    seed : int
    name : str
        Name of the model.
    start_from : str or None
        Folder of a model or a training (or a file of weights) whose weights the first step
        starts from, as far as they fit: see `jpassed.training.warm.start_from`.
    objective : str
        What is minimised, see `jpassed.objectives.load_objective`.
    simulation : SimulationConfig
    tables : tuple of TableConfig
    mix : MixConfig
    optimiser : OptimiserConfig
    watch : WatchConfig
    model : ModelConfig
    """

    seed: int = 1
    name: str = "jpassed"
    start_from: str | None = None
    objective: str = "request_nll"
    simulation: SimulationConfig = field(default_factory=SimulationConfig)
    tables: tuple[TableConfig, ...] = ()
    mix: MixConfig = field(default_factory=MixConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    watch: WatchConfig = field(default_factory=WatchConfig)
    model: ModelConfig = field(default_factory=ModelConfig)

    def __post_init__(self) -> None:
        if self.mix.prior not in ("declared", "balanced"):
            raise UnknownNameError("prior", self.mix.prior, ("declared", "balanced"))
        check_objective(self.objective)
        if self.optimiser.precision not in ("float32", "bfloat16"):
            raise UnknownNameError("precision", self.optimiser.precision, ("float32", "bfloat16"))
        if self.optimiser.name not in OPTIMISERS:
            raise UnknownNameError("optimiser", self.optimiser.name, OPTIMISERS)
        if self.watch.on_divergence not in ("stop", "rollback"):
            raise UnknownNameError("on_divergence", self.watch.on_divergence, ("stop", "rollback"))
        if self.watch.window < 150:
            raise InputError(f"watch: window: expected 150 or more, got {self.watch.window}")
        if self.mix.dense < 0 or self.mix.dense_weight <= 0:
            raise InputError(
                "mix: expected dense: 0 or more objects and a positive dense_weight, got "
                f"{self.mix.dense} and {self.mix.dense_weight:g}"
            )
        if self.mix.broad < 0 or self.mix.broad_weight <= 0:
            raise InputError(
                f"mix: expected broad: 0 or more objects and a positive broad_weight, got "
                f"{self.mix.broad} and {self.mix.broad_weight:g}"
            )
        if self.mix.dense and not self.model.dense_readout:
            raise InputError(
                f"mix: dense: {self.mix.dense} objects a step need model: {{dense_readout: true}}"
            )
        share = sum(t.share for t in self.tables)
        if not 0 <= share < 1:
            raise InputError(f"shares of the tables must add to less than 1, got {share:g}")

    @property
    def objects_per_step(self) -> int:
        """Objects that a step trains on."""
        return self.optimiser.batch + self.mix.dense + self.mix.broad

    def as_dict(self) -> dict[str, Any]:
        """Plain values for YAML and JSON."""
        return _plain(asdict(self))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingConfig:
        """Read plain values, refusing unknown keys."""
        known = _known(cls)
        chosen: dict[str, Any] = {}
        for key, value in values.items():
            if key not in known:
                inside = [part for part, cls_ in _PARTS.items() if key in _known(cls_)]
                if inside:
                    shown = ", ".join(f"{part}: {{{key}: ...}}" for part in inside)
                    raise InputError(f"training setting {key!r} stands one level deeper: {shown}")
                raise UnknownNameError("training setting", key, known)
            if key in _PARTS and key != "model":
                chosen[key] = _read(_PARTS[key], value, key)
            elif key == "model":
                chosen[key] = ModelConfig.from_dict(value)
            elif key == "tables":
                chosen[key] = tuple(_read(TableConfig, t, key) for t in value)
            else:
                chosen[key] = value
        return cls(**chosen)

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str]) -> TrainingConfig:
        """Read a YAML file.

        Raises
        ------
        FileError
            If it is missing or not YAML.
        UnknownNameError
            For a key that is no setting.
        """
        import yaml

        try:
            values = yaml.safe_load(Path(path).read_text("utf-8"))
        except OSError as exc:
            raise FileError(f"cannot read the training configuration {path}: {exc}") from exc
        except (yaml.YAMLError, UnicodeDecodeError) as exc:
            raise FileError(f"{path} is not YAML: {exc}") from exc
        if not isinstance(values, dict):
            raise FileError(f"{path}: expected settings as a YAML mapping, got {type(values)}")
        return cls.from_dict(values)


# Settings that are mappings of settings.
_PARTS: dict[str, Any] = {
    "simulation": SimulationConfig,
    "mix": MixConfig,
    "optimiser": OptimiserConfig,
    "watch": WatchConfig,
    "model": ModelConfig,
}


def _known(cls: type) -> set[str]:
    return {f.name for f in fields(cls)}


def _read(cls: Any, values: Any, where: str) -> Any:
    if not isinstance(values, Mapping):
        raise InputError(f"{where}: expected a mapping of settings, got {values!r}")
    for key in values:
        if key not in _known(cls):
            raise UnknownNameError(f"{where} setting", key, _known(cls))
    expanded = {
        k: tuple(os.path.expandvars(x) if isinstance(x, str) else x for x in v)
        if isinstance(v, list)
        else os.path.expandvars(v)
        if isinstance(v, str)
        else v
        for k, v in values.items()
    }
    return cls(**expanded)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value
