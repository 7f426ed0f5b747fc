"""Where the network computes, and with how many digits."""

from __future__ import annotations

import torch

from jpassed.exceptions import InputError, UnknownNameError

__all__ = ["PRECISIONS", "choose_device", "choose_precision", "native_bfloat16"]

PRECISIONS = ("auto", "float32", "bfloat16")

NATIVE = ("avx512_bf16", "amx_bf16")
"""Instructions of a processor that multiply matrices of bfloat16; others emulate them slowly."""


def choose_device(name: str) -> torch.device:
    """Device by name; ``"auto"`` takes a GPU if there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as exc:
        raise InputError(f"unknown device {name!r}; use 'auto', 'cpu' or 'cuda'") from exc
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device {name!r} was asked for, but torch sees no GPU; use 'cpu'")
    return device


def native_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies matrices of bfloat16 faster than those of float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(bool(capabilities.get(name)) for name in NATIVE)


def choose_precision(name: str, device: torch.device) -> str:
    """Precision of a network's matrix products by name.

    Parameters
    ----------
    name : {"auto", "float32", "bfloat16"}
        ``"auto"`` takes bfloat16 where the device has it natively. First layers and heads are in
        float32 all the same.
    device : torch.device

    Returns
    -------
    str
        ``"float32"`` or ``"bfloat16"``.

    Raises
    ------
    UnknownNameError
        For another name.
    InputError
        For bfloat16 on a device that has none.
    """
    if name not in PRECISIONS:
        raise UnknownNameError("precision", str(name), PRECISIONS)
    if name == "auto":
        return "bfloat16" if native_bfloat16(device) else "float32"
    if name == "bfloat16" and device.type not in ("cpu", "cuda"):
        raise InputError(f"precision 'bfloat16': not on device {device}; use 'float32'")
    return name
