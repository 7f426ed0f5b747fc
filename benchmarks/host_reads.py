"""Where a program reads tensors on the host: on a GPU each such place waits for all work given.

Counted on a CPU, by watching the calls: values of a tensor turned into Python numbers or another
device's, and operations whose result has as many rows as the values say.
"""

from __future__ import annotations

import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

PACKAGE = Path(__file__).resolve().parent.parent

READS = (
    "item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__", "__index__",
    "__contains__", "nonzero", "masked_select", "unique", "bincount", "argwhere",
)  # fmt: skip
"""Functions that need a tensor's values on the host."""

ON_HOST = ("jpassed/training/host.py", "layout.patch")
"""Files, and words in a line, whose tensors lie on the host in any case."""

INDEXING = ("__getitem__", "__setitem__", "index_put_")


class HostReads(TorchFunctionMode):
    """Counts reads while it is entered.

    Attributes
    ----------
    places : Counter
        ``"file:line function"`` to the number of reads there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.places: Counter[str] = Counter()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        if name in READS or (name in INDEXING and _by_mask(args[1])):
            place, line = _place()
            if not any(word in f"{place} {line}" for word in ON_HOST):
                self.places[f"{place} {name}"] += 1
        return func(*args, **(kwargs or {}))


def _by_mask(index: Any) -> bool:
    """Whether an index picks as many rows as a boolean tensor has."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(p, Tensor) and p.dtype in (torch.bool, torch.uint8) for p in parts)


def _place() -> tuple[str, str]:
    """Where this project called, and the line."""
    for frame in reversed(traceback.extract_stack()):
        path = Path(frame.filename)
        if path.is_relative_to(PACKAGE / "jpassed"):
            return f"{path.relative_to(PACKAGE)}:{frame.lineno}", frame.line or ""
    return "elsewhere", ""
