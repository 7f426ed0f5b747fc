"""A small random model and made-up photometry, shared by the tests of tokens and network."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from jpassed.nn import ModelConfig, SEDModel
from jpassed.nn.model import Prediction
from jpassed.tokens import BandLayout, Context, LabelScaling, build_context, build_requests
from jpassed.vocabulary import load_vocabulary

# These networks are too small to share among cores: threads only wait for each other.
torch.set_num_threads(1)

VOCABULARY = load_vocabulary()
SCALING = LabelScaling.from_vocabulary(VOCABULARY, VOCABULARY.scalars)

PATCH = ("p0", "p1", "p2", "p3", "p4")
SINGLE = ("s0", "s1", "s2")
BANDS = PATCH + SINGLE
PIVOT = (3800.0, 4600.0, 5400.0, 6200.0, 7000.0, 1530.0, 2300.0, 21000.0)
WIDTH = (145.0, 145.0, 145.0, 1400.0, 145.0, 230.0, 770.0, 3200.0)
PASSBANDS = {name: (PIVOT[i], WIDTH[i]) for i, name in enumerate(BANDS)}

CONFIG = ModelConfig(
    patch_bands=PATCH,
    patch_width=24,
    patch_blocks=1,
    patch_tokens=2,
    width=24,
    heads=2,
    blocks=2,
    decoder_blocks=2,
    frequencies=4,
    components=3,
    redshift_bin=0.01,
)


def make_model(seed: int = 1, **changes: object) -> SEDModel:
    """A random network in evaluation mode, float32."""
    torch.manual_seed(seed)
    return SEDModel(replace(CONFIG, **changes), VOCABULARY).eval()


@dataclass(frozen=True)
class Objects:
    """N objects: (N, B) photometry with its bands, (N, L) labels of all scalar kinds."""

    bands: tuple[str, ...]
    flux: Tensor
    error: Tensor
    observed: Tensor
    value: Tensor
    label_error: Tensor
    given: Tensor

    def layout(self, patch: tuple[str, ...] = PATCH) -> BandLayout:
        pivot, width = zip(*(PASSBANDS[name] for name in self.bands), strict=True)
        return BandLayout.make(self.bands, pivot, width, patch)

    def context(self, patch: tuple[str, ...] = PATCH) -> Context:
        return build_context(
            self.flux,
            self.error,
            self.observed,
            self.layout(patch),
            vocabulary=VOCABULARY,
            scaling=SCALING,
            label_value=self.value,
            label_error=self.label_error,
            label_given=self.given,
        )

    def columns(self, order: list[int]) -> Objects:
        """The same objects with their bands in another order, or fewer of them."""
        taken = {name: getattr(self, name)[:, order] for name in ("flux", "error", "observed")}
        return replace(self, bands=tuple(self.bands[i] for i in order), **taken)

    def rows(self, rows: list[int]) -> Objects:
        """Some of the objects."""
        tensors = ("flux", "error", "observed", "value", "label_error", "given")
        return replace(self, **{name: getattr(self, name)[rows] for name in tensors})


def make_objects(
    n: int = 6, seed: int = 1, *, observed: float = 0.7, given: float = 0.2
) -> Objects:
    """Made-up objects that miss bands at random; the last has neither bands nor labels."""
    rng = np.random.default_rng(seed)
    brightness = 10 ** rng.uniform(-1, 4, (n, 1))
    flux = brightness * rng.uniform(0.2, 3.0, (n, len(BANDS)))
    error = flux * 10 ** rng.uniform(-2.5, 0.3, flux.shape)
    flux += error * rng.standard_normal(flux.shape)
    seen = rng.random(flux.shape) < observed
    scaled = rng.standard_normal((n, len(SCALING.names)))
    value = np.stack(
        [VOCABULARY[name].from_scaled(scaled[:, i]) for i, name in enumerate(SCALING.names)], 1
    )
    chosen = rng.random(value.shape) < given
    seen[-1] = False
    chosen[-1] = False
    label_error = np.where(rng.random(value.shape) < 0.5, 0.05, 0.0)
    return Objects(
        BANDS,
        torch.tensor(flux, dtype=torch.float32),
        torch.tensor(error, dtype=torch.float32),
        torch.tensor(seen),
        torch.tensor(value, dtype=torch.float32),
        torch.tensor(label_error, dtype=torch.float32),
        torch.tensor(chosen),
    )


REQUESTED = ("flux:s1", "z", "logmstar", "ew_halpha", "flux:p2", "tau")


@torch.no_grad()
def predict(model: SEDModel, context: Context, names: tuple[str, ...] = REQUESTED) -> Prediction:
    """The model's answer to `names`."""
    return model(context, build_requests(names, VOCABULARY, PASSBANDS))


def assert_same(one: Prediction, other: Prediction, tolerance: float = 2e-5) -> None:
    """Two predictions agree to float32 rounding."""
    assert one.names == other.names
    np.testing.assert_allclose(one.parameters, other.parameters, rtol=0, atol=tolerance)
    if one.redshift_logits is None or other.redshift_logits is None:
        assert one.redshift_logits is other.redshift_logits
    else:
        np.testing.assert_allclose(
            one.redshift_logits, other.redshift_logits, rtol=0, atol=tolerance
        )
