"""The model: posterior = model(context, requests), without hidden state."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from jpassed.nn.blocks import CrossBlock, SelfBlock, key_bias
from jpassed.nn.config import ModelConfig
from jpassed.nn.embedding import BandEmbedding, LabelEmbedding, ObjectEmbedding, PatchEmbedding
from jpassed.nn.encodings import WavelengthEncoding
from jpassed.nn.heads import BinnedHead, make_head
from jpassed.nn.readout import LocalReadout
from jpassed.tokens.batch import Context, Requests
from jpassed.vocabulary import Vocabulary

__all__ = ["Prediction", "SEDModel"]


@dataclass(frozen=True)
class Prediction:
    """Parameters of the posteriors of R requests for B objects, in scaled units.

    Attributes
    ----------
    names : tuple of str
        The requests.
    parameters : Tensor
        (B, R, 2 or 3 K) of the scalar head; the row of a binned redshift is not used.
    redshift_logits : Tensor or None
        (B, bins), if redshift was asked and its head is binned.
    """

    names: tuple[str, ...]
    parameters: Tensor
    redshift_logits: Tensor | None


class SEDModel(nn.Module):
    """Context tokens -> trunk -> cross-attention decoder -> heads.

    Parameters
    ----------
    config : ModelConfig
    vocabulary : Vocabulary
        Kinds of context and requests; its digest is kept with the weights.
    """

    def __init__(self, config: ModelConfig, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.config = config
        self.vocabulary_digest = vocabulary.digest
        kinds = len(vocabulary)
        self.redshift = vocabulary.index("z")
        self.patch = PatchEmbedding(config) if config.patch_bands else None
        self.band = BandEmbedding(config)
        self.label = LabelEmbedding(config, kinds)
        self.object = ObjectEmbedding(config)
        self.trunk = nn.ModuleList(
            SelfBlock(config.width, config.heads, config.expansion) for _ in range(config.blocks)
        )
        self.request_kind = nn.Embedding(kinds, config.width)
        self.request_where = WavelengthEncoding(config.frequencies)
        self.request_band = nn.Linear(self.request_where.size, config.width)
        self.readout = LocalReadout(config) if config.readout_kernels else None
        self.decoder = nn.ModuleList(
            CrossBlock(config.width, config.heads, config.expansion)
            for _ in range(config.decoder_blocks)
        )
        self.norm = nn.LayerNorm(config.width)
        self.head = make_head(config.head_real, config, kinds)
        kind = vocabulary["z"]
        self.redshift_head = (
            BinnedHead(config, kind.loc, kind.width) if config.head_redshift == "binned" else None
        )

    def embed_observed(self, context: Context) -> tuple[Tensor, Tensor]:
        """Tokens of all but the labels, (B, T, D), and which of them are there, (B, T).

        Contexts that differ in their labels alone share them: see `encode`.
        """
        parts = [self.object(context)]
        present = [torch.ones_like(context.has_scale).unsqueeze(1)]
        if context.patch is not None and self.patch is not None:
            patch = self.patch(context.patch, context.log_scale)
            parts.append(patch)
            present.append(context.patch.present.expand(-1, patch.shape[1]))
        if context.bands.value.shape[1]:
            parts.append(self.band(context.bands))
            present.append(context.bands.present)
        dtype = parts[-1].dtype
        return torch.cat([p.to(dtype) for p in parts], 1), torch.cat(present, 1)

    def encode(
        self, context: Context, observed: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Context tokens after the trunk: (B, T, D) and the key bias that hides absent ones.

        What `embed_observed` gave for the same objects may be handed in, to save its work.
        """
        x, present = self.embed_observed(context) if observed is None else observed
        if context.labels.value.shape[1]:
            labels = self.label(context.labels)
            x = torch.cat((x.to(labels.dtype), labels), 1)
            present = torch.cat((present, context.labels.present), 1)
        bias = key_bias(present)
        for block in self.trunk:
            x = block(x, bias)
        return x, bias

    def decode(
        self, x: Tensor, bias: Tensor | None, requests: Requests, context: Context
    ) -> Tensor:
        """Vectors of the requests: (B, R, D), from what `encode` made of `context`."""
        code = self.request_band(self.request_where(requests.wavelength, requests.width))
        there = (requests.wavelength > 0).unsqueeze(-1)
        query = (self.request_kind(requests.kind) + code * there).unsqueeze(0)
        # In the trunk's precision: a float32 stream costs a third of a bfloat16 training step.
        h = query.to(x.dtype)
        if self.readout is not None:
            h = h + self.readout(context, requests).to(x.dtype)
        for block in self.decoder:
            h = block(h, x, bias)
        return self.norm(h)

    def forward(
        self,
        context: Context,
        requests: Requests,
        observed: tuple[Tensor, Tensor] | None = None,
    ) -> Prediction:
        """Posterior parameters of every request for every object; `observed` as in `encode`."""
        x, bias = self.encode(context, observed)
        h = self.decode(x, bias, requests, context)
        logits = None
        if self.redshift_head is not None and "z" in requests.names:
            logits = self.redshift_head(h[:, requests.names.index("z")])
        with torch.autocast(h.device.type, enabled=False):
            parameters = self.head(h.float(), requests.kind)
        return Prediction(requests.names, parameters, logits)
