"""Where a requested passband lies in the rest frame of an object whose redshift is known."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from jpassed.nn.blocks import added
from jpassed.nn.config import ModelConfig
from jpassed.nn.encodings import WavelengthEncoding
from jpassed.tokens.batch import Requests, TokenBatch
from jpassed.vocabulary import Vocabulary

__all__ = ["GivenRedshift", "RestFrame", "given_redshift"]


@dataclass(frozen=True)
class GivenRedshift:
    """Redshifts in a context.

    Attributes
    ----------
    redshift : Tensor
        (B,); 0 where it is not known.
    error : Tensor
        (B,) of ln(1+z), in scaled units; 0 where it is exact or not known.
    blur : Tensor
        (B,) the same in ln(1+z) itself.
    known : Tensor
        (B,) bool.
    """

    redshift: Tensor
    error: Tensor
    blur: Tensor
    known: Tensor


def given_redshift(labels: TokenBatch, vocabulary: Vocabulary) -> GivenRedshift:
    """Redshifts among the label tokens of a context."""
    kind = vocabulary["z"]
    given = (labels.kind == vocabulary.index("z")) & labels.observed[..., 0]
    one, known = given.float(), given.any(1)
    scaled = (labels.value[..., 0] * one).sum(1)
    z = torch.where(known, torch.expm1(scaled * kind.width + kind.loc), 0.0)
    error = (labels.error[..., 0] * one).sum(1)
    return GivenRedshift(z, error, error * kind.width, known)


class RestFrame(nn.Module):
    """Encoding of lambda / (1 + z) for requested passbands, where z is in the context.

    A network that is told lambda and z apart must learn their product before it can put a line
    into a band. A request without a passband, or for an object without a redshift, gets zeros.

    Parameters
    ----------
    config : ModelConfig
    vocabulary : Vocabulary
        Tells where the redshift is, and its scaling.
    """

    def __init__(self, config: ModelConfig, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.where = WavelengthEncoding(config.frequencies)
        self.first = nn.Linear(self.where.size + 2, 2 * config.width)
        self.last = nn.Linear(2 * config.width, config.width)
        # Nothing at first: see LocalReadout.
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, labels: TokenBatch, requests: Requests) -> Tensor:
        """(B, R, width)."""
        shape = (labels.value.shape[0], len(requests), self.last.out_features)
        out = torch.zeros(shape, device=requests.wavelength.device)
        return added(out, self.parts(labels, requests))

    def parts(self, labels: TokenBatch, requests: Requests) -> list[tuple[Tensor, Tensor]]:
        """Requests (R',) with a passband, and their vectors (B, R', width), if labels are given."""
        rows = (requests.wavelength > 0).nonzero().squeeze(1)
        if not len(rows) or not labels.value.shape[1]:
            return []
        with torch.autocast(requests.wavelength.device.type, enabled=False):
            given = given_redshift(labels, self.vocabulary)
            stretch = (1.0 + given.redshift).unsqueeze(1)
            code = self.where(requests.wavelength[rows] / stretch, requests.width[rows] / stretch)
            blurred = (given.error > 0).float()
            blur = (given.error.clamp(min=1e-6).log() + 3.0) / 3.0 * blurred
            extra = torch.stack((blur, blurred), -1).unsqueeze(1).expand(-1, len(rows), -1)
            h = self.last(nn.functional.gelu(self.first(torch.cat((code, extra), -1))))
        return [(rows, h * given.known[:, None, None])]
