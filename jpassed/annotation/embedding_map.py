"""From a network's tokens to an embedding: one vector an object, and one linear map a network.

The tokens that leave the trunk are averaged over those that an object has. The map, fitted to
simulated galaxies that were measured again with other noise and other bands
(``tools/fit_embedding.py``), keeps the directions in which galaxies differ most from each other
compared to how far such measurements of one galaxy scatter (Fisher's discriminants), and measures
them in units of that scatter: a distance of 1 in one of them is what noise alone does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from jpassed.exceptions import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from jpassed.nn.checkpoint import LoadedModel
    from jpassed.nn.model import SEDModel
    from jpassed.tokens import Context

__all__ = ["FILE", "EmbeddingMap", "load_embedding_map", "pooled", "write_embedding_map"]

FILE = Path(__file__).with_name("data") / "embedding.safetensors"


@dataclass(frozen=True)
class EmbeddingMap:
    """Linear map from pooled tokens to embeddings.

    Attributes
    ----------
    weight : ndarray (W, D)
        W numbers in a token, D in an embedding.
    mean : ndarray (W,)
        Of the galaxies that it was fitted to.
    card : dict
        Provenance; ``network`` is the digest of its network.
    """

    weight: NDArray[np.float32]
    mean: NDArray[np.float32]
    card: dict[str, Any]

    @property
    def size(self) -> int:
        """Numbers in an embedding."""
        return int(self.weight.shape[1])

    def __call__(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embeddings (N, D) of pooled tokens (N, W)."""
        return np.asarray((vectors - self.mean) @ self.weight, dtype=np.float32)


@torch.inference_mode()
def pooled(network: SEDModel, context: Context) -> Tensor:
    """Mean of the tokens (N, W) that each object has, after the trunk."""
    observed = network.embed_observed(context)
    present = observed.present
    if context.labels.value.shape[1]:
        present = torch.cat((present, context.labels.present), 1)
    tokens = network.encode(context, observed).tokens.float()
    weight = present.float().unsqueeze(-1)
    return (tokens * weight).sum(1) / weight.sum(1)


def load_embedding_map(model: LoadedModel, path: Path = FILE) -> EmbeddingMap:
    """The map that was fitted for a model.

    Raises
    ------
    ModelError
        If there is none, or the file is damaged.
    """
    return _load(model.digest, model.name, path)


@lru_cache(maxsize=8)
def _load(digest: str, name: str, path: Path) -> EmbeddingMap:
    from safetensors import SafetensorError, safe_open

    belongs = "none"
    if path.is_file():
        try:
            with safe_open(path, framework="numpy") as stored:
                card = json.loads(stored.metadata()["card"])
                belongs = str(card["network"])
                if belongs == digest:
                    parts = [stored.get_tensor(k).astype(np.float32) for k in ("weight", "mean")]
                    return EmbeddingMap(parts[0], parts[1], card)
        except (SafetensorError, KeyError, TypeError, ValueError, OSError) as exc:
            raise ModelError(f"{path} is damaged: {exc}. Install jpassed again") from exc
    raise ModelError(
        f"model {name!r} ({digest}) has no embedding: the map of this package belongs to weights "
        f"{belongs}. Use the embedded model, or fit a map with tools/fit_embedding.py"
    )


def write_embedding_map(fitted: EmbeddingMap, path: Path = FILE) -> Path:
    """Write a map in half precision, as a whole or not at all.

    Raises
    ------
    FileError
        If the file cannot be written.
    """
    from safetensors.numpy import save

    from jpassed.io.atomic import atomic_output

    half = {
        name: np.ascontiguousarray(getattr(fitted, name), dtype=np.float16)
        for name in ("weight", "mean")
    }
    blob = save(half, metadata={"card": json.dumps(fitted.card)})
    with atomic_output(path, overwrite=True) as temporary:
        temporary.write_bytes(blob)
    return path
