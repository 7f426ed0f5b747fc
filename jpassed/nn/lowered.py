"""A copy of a network for inference, its matrices in half the bytes.

Training computes under autocast, which casts every weight at every call. Here they are cast once.
The same layers as there stay in float32: first layers (a bandflux has more than three digits), the
readout of single bands, and the heads.
"""

from __future__ import annotations

import copy
import zlib
from weakref import WeakKeyDictionary

import torch
from torch import nn

from jpassed.nn.model import SEDModel

__all__ = ["lowered"]


_State = tuple[object, ...]
_KEPT: WeakKeyDictionary[SEDModel, tuple[_State, SEDModel]] = WeakKeyDictionary()


def lowered(network: SEDModel, dtype: torch.dtype = torch.bfloat16) -> SEDModel:
    """A copy in evaluation mode whose large matrix products are computed in `dtype`.

    The copy of a network is made once, as long as its weights stay the same: pages of a long
    table do not pay for it again. To see that they do takes some 5 ms for 7 million weights.

    Parameters
    ----------
    network : SEDModel
        In float32; it stays as it is.
    dtype : torch.dtype

    Returns
    -------
    SEDModel
        On the same device, without gradients.
    """
    state = (dtype, *_values(network))
    kept = _KEPT.get(network)
    if kept is not None and kept[0] == state:
        return kept[1]
    with torch.inference_mode(False):  # the copy outlives the caller's mode
        found = _copy(network, dtype)
    _KEPT[network] = state, found
    return found


def _values(network: SEDModel) -> _State:
    """What tells whether a network is still the same: its values, as torch counts not all changes.

    ``parameter.data`` and tensors of an inference mode are changed without a trace.
    """
    tensors = [*network.parameters(), *network.buffers()]
    raw = (
        t.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data for t in tensors
    )
    return tuple(
        (t.device, t.dtype, t.shape, zlib.crc32(values))
        for t, values in zip(tensors, raw, strict=True)
    )


def _copy(network: SEDModel, dtype: torch.dtype) -> SEDModel:
    found = copy.deepcopy(network).eval().requires_grad_(False)
    inside: list[nn.Module | None] = [
        *(() if found.patch is None else (found.patch.blocks, found.patch.last)),
        found.band.last, found.label.last, found.object.last,
        found.trunk, found.decoder, found.dense, found.redshift_head,
    ]  # fmt: skip
    for part in inside:
        for module in () if part is None else part.modules():
            if isinstance(module, nn.Linear):
                module.to(dtype)
    if next(network.parameters()).device.type != "cpu":
        # Processors normalise bfloat16 with weights in float32, GPUs want both alike.
        for part in (found.trunk, found.decoder, found.norm):
            part.to(dtype)
    return found
