"""The model: posterior = model(context, requests), without hidden state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from jpassed.exceptions import ModelError
from jpassed.nn.blocks import CrossBlock, SelfBlock, added, key_bias
from jpassed.nn.config import ModelConfig
from jpassed.nn.dense import DenseReadout
from jpassed.nn.embedding import BandEmbedding, LabelEmbedding, ObjectEmbedding, PatchEmbedding
from jpassed.nn.encodings import WavelengthEncoding
from jpassed.nn.heads import BinnedHead, make_head
from jpassed.nn.kind_linear import Folded
from jpassed.nn.readout import LocalReadout
from jpassed.nn.rest_frame import RestFrame
from jpassed.tokens.batch import Context, Requests
from jpassed.vocabulary import Vocabulary

__all__ = ["Encoded", "Observed", "Prediction", "Questions", "SEDModel"]


class Observed(NamedTuple):
    """All of a context but its labels, before the trunk.

    Attributes
    ----------
    tokens : Tensor
        (B, T, D).
    present : Tensor
        (B, T) bool.
    dense : Tensor or None
        (B, W) vector of the patch, zero where an object has none of its bands; only with a dense
        readout.
    """

    tokens: Tensor
    present: Tensor
    dense: Tensor | None

    def take(self, rows: Tensor | slice) -> Observed:
        """Some of the objects, in any order, as often as they are named.

        Parameters
        ----------
        rows : Tensor (M,) or slice

        Returns
        -------
        Observed
        """
        dense = None if self.dense is None else self.dense[rows]
        return Observed(self.tokens[rows], self.present[rows], dense)


class Encoded(NamedTuple):
    """A context after the trunk.

    Attributes
    ----------
    tokens : Tensor
        (B, T, D).
    bias : Tensor or None
        (B, 1, 1, T) key bias that hides absent tokens.
    dense : Tensor or None
        As of `Observed`.
    """

    tokens: Tensor
    bias: Tensor | None
    dense: Tensor | None


class Questions(NamedTuple):
    """What a network makes of requests alone, for any number of contexts.

    Attributes
    ----------
    query : Tensor
        (1, R, D).
    fold : Folded or None
        Heads of the requests and the layer before them; only with a dense readout.
    """

    query: Tensor
    fold: Folded | None


@dataclass(frozen=True)
class Prediction:
    """Parameters of the posteriors of R requests for B objects, in scaled units.

    Attributes
    ----------
    names : tuple of str
        The requests.
    parameters : Tensor
        (B, R, numbers of the scalar head's form); the row of a binned redshift is not used.
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
        self.readout = LocalReadout(config, vocabulary) if config.readout_kernels else None
        self.rest = RestFrame(config, vocabulary) if config.rest_frame else None
        self.dense = DenseReadout(config) if config.dense_readout else None
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

    def embed_observed(self, context: Context) -> Observed:
        """Tokens of all but the labels.

        Contexts that differ in their labels alone share them: see `encode`.

        Parameters
        ----------
        context : Context

        Returns
        -------
        Observed
        """
        parts = [self.object(context)]
        present = [torch.ones_like(context.has_scale).unsqueeze(1)]
        dense = None
        if context.patch is not None and self.patch is not None:
            vector = self.patch.vector(context.patch, context.log_scale)
            patch = self.patch.tokens(vector)
            parts.append(patch)
            present.append(context.patch.present.expand(-1, patch.shape[1]))
            dense = None if self.dense is None else vector
        elif self.dense is not None:
            dense = parts[0].new_zeros(len(context), self.config.patch_width)
        if context.bands.value.shape[1]:
            parts.append(self.band(context.bands))
            present.append(context.bands.present)
        dtype = parts[-1].dtype
        tokens = torch.cat([p.to(dtype) for p in parts], 1)
        return Observed(tokens, torch.cat(present, 1), dense)

    def encode(self, context: Context, observed: Observed | None = None) -> Encoded:
        """Context tokens after the trunk.

        What `embed_observed` gave for the same objects may be handed in, to save its work.

        Parameters
        ----------
        context : Context
        observed : Observed, optional

        Returns
        -------
        Encoded
        """
        x, present, dense = self.embed_observed(context) if observed is None else observed
        if context.labels.value.shape[1]:
            labels = self.label(context.labels)
            x = torch.cat((x.to(labels.dtype), labels), 1)
            present = torch.cat((present, context.labels.present), 1)
        bias = key_bias(present)
        for block in self.trunk:
            x = block(x, bias)
        return Encoded(x, bias, dense)

    def prepare(self, requests: Requests) -> Questions:
        """What does not depend on the context; `forward` does it itself if it is not handed in.

        Parameters
        ----------
        requests : Requests

        Returns
        -------
        Questions
        """
        code = self.request_band(self.request_where(requests.wavelength, requests.width))
        there = (requests.wavelength > 0).unsqueeze(-1)
        query = (self.request_kind(requests.kind) + code * there).unsqueeze(0)
        if self.dense is None:
            return Questions(query, None)
        with torch.autocast(query.device.type, enabled=False):
            return Questions(query, self.head.linear.folded(self.dense.lift, requests.kind))

    def decode(
        self,
        encoded: Encoded,
        requests: Requests,
        context: Context,
        questions: Questions | None = None,
    ) -> Tensor:
        """Vectors (B, R, D) of the requests, from what `encode` made of `context`.

        Parameters
        ----------
        encoded : Encoded
        requests : Requests
        context : Context
        questions : Questions, optional

        Returns
        -------
        Tensor (B, R, D)
        """
        x, bias, dense = encoded
        query = self.prepare(requests).query if questions is None else questions.query
        # In the trunk's precision: a float32 stream costs a third of a bfloat16 training step.
        h = query.to(x.dtype)
        h = h if self.dense is None or dense is None else h + self.dense.start(dense).to(x.dtype)
        parts = [] if self.readout is None else self.readout.parts(context, requests)
        if self.rest is not None:
            parts += self.rest.parts(context.labels, requests)
        if parts:
            h = added(h.expand(x.shape[0], -1, -1), parts)
        for block in self.decoder:
            h = block(h, x, bias)
        return self.norm(h)

    def forward(
        self,
        context: Context,
        requests: Requests,
        observed: Observed | None = None,
        questions: Questions | None = None,
    ) -> Prediction:
        """Posterior parameters of every request for every object.

        Parameters
        ----------
        context : Context
        requests : Requests
        observed : Observed, optional
            As in `encode`.
        questions : Questions, optional
            What `prepare` gave for the same requests and weights, to save its work.
        """
        asked = self.prepare(requests) if questions is None else questions
        encoded = self.encode(context, observed)
        h = self.decode(encoded, requests, context, asked)
        if self.dense is None or encoded.dense is None or asked.fold is None:
            return self._answer(h, requests)
        logits = None
        if self.redshift_head is not None and "z" in requests.names:
            at = requests.names.index("z")
            logits = self.redshift_head(self.dense(h[:, at], encoded.dense))
        with torch.autocast(h.device.type, enabled=False):
            return Prediction(requests.names, asked.fold(h, encoded.dense), logits)

    def from_patch(self, context: Context, requests: Requests) -> Prediction:
        """The same from the bands of the patch alone, by the dense readout without a decoder.

        For trainings: many requests cost hardly more than one.

        Raises
        ------
        ModelError
            If the model has no dense readout, or the context no patch.
        """
        if self.dense is None or self.patch is None or context.patch is None:
            raise ModelError("from_patch: expected a model with a dense readout, and a patch")
        vector = self.patch.vector(context.patch, context.log_scale)
        return self._answer(vector.unsqueeze(1), requests)

    def _answer(self, h: Tensor, requests: Requests) -> Prediction:
        """Heads of (B, R or 1, D or W) vectors; one vector serves all requests."""
        logits = None
        if self.redshift_head is not None and "z" in requests.names:
            at = requests.names.index("z") if h.shape[1] > 1 else 0
            logits = self.redshift_head(h[:, at])
        with torch.autocast(h.device.type, enabled=False):
            parameters = self.head(h.float(), requests.kind)
        return Prediction(requests.names, parameters, logits)
