"""Settings of a fine-tuning."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from jpassed.exceptions import InputError

__all__ = ["FinetuneSettings"]


@dataclass(frozen=True)
class FinetuneSettings:
    """How a fine-tuning goes; the defaults are those of the page ``finetune``.

    Attributes
    ----------
    steps : int
        Largest number of steps; it stops earlier where the held-out score no longer grows.
    minutes : float or None
        Largest time, None for no limit.
    seed : int
        Of the split, the questions and the noise of replayed galaxies.
    every : int
        Steps between two looks at the held-out rows.
    patience : int
        Looks without a gain after which it stops.
    batch, replay : int
        The user's rows and replayed galaxies of a step; 0 replays none.
    learning_rate : float
        After `warmup` steps.
    warmup : int
    softening : float
        Labels are blurred by so much of the start's own posterior width: a few objects must not
        turn a posterior into a comb. It widens the posterior by sqrt(1 + softening^2).
    blend : float
        What is judged and kept lies n / (n + blend) of the way from the start's weights to the
        trained ones, for n labelled rows that are learned from: fewer rows narrow posteriors
        more than they know (Wortsman et al. 2022, arXiv:2109.01903). Bandfluxes alone, and new
        kinds alone, are not blended.
    replay_weight : float
        Of the loss of replayed galaxies.
    ema : float
        Decay of the moving average of the weights, which is what is judged and kept.
    heads : bool
        Train the heads as well: for a start whose heads know little.
    sigmas : float
        Standard errors by which the held-out score must have grown.
    checkpoint_seconds : float
        Least time between two checkpoints.
    precision : {"bfloat16", "float32"}
    """

    steps: int = 300
    minutes: float | None = None
    seed: int = 0
    every: int = 20
    patience: int = 4
    batch: int = 128
    replay: int = 64
    learning_rate: float = 5e-4
    warmup: int = 10
    softening: float = 0.3
    blend: float = 50.0
    replay_weight: float = 0.5
    ema: float = 0.95
    heads: bool = False
    sigmas: float = 2.0
    checkpoint_seconds: float = 20.0
    precision: str = "bfloat16"

    def __post_init__(self) -> None:
        for name in ("steps", "every", "patience", "batch"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{name}: expected a positive whole number, got {value!r}")
        if self.minutes is not None and not self.minutes > 0:
            raise InputError(f"minutes: expected a positive number, got {self.minutes!r}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise InputError(f"seed: expected a whole number from 0 on, got {self.seed!r}")
        if self.warmup < 1 or not 0.0 <= self.ema < 1.0 or self.sigmas < 0:
            raise InputError(
                "expected warmup from 1 on, ema from 0 to below 1, and sigmas from 0 on, got "
                f"{self.warmup!r}, {self.ema!r} and {self.sigmas!r}"
            )
        if min(self.replay, self.replay_weight, self.softening, self.blend) < 0:
            raise InputError("replay, replay_weight, softening and blend must not be negative")
        if not self.learning_rate > 0:
            raise InputError(f"learning_rate: expected more than 0, got {self.learning_rate!r}")
        if self.precision not in ("bfloat16", "float32"):
            raise InputError(f"precision: expected 'bfloat16' or 'float32', got {self.precision!r}")

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a card."""
        return asdict(self)
