"""A training that takes seconds: settings shared by the tests."""

from __future__ import annotations

from typing import Any

TINY: dict[str, Any] = {
    "seed": 5,
    "name": "tiny",
    "simulation": {
        "bands": ["jpas", "galex", "sdss"],
        "noise_other": ["broadband-v1"],
        "pool": 512,
        "segment": 256,
        "refresh_every": 3,
    },
    "model": {
        "patch_width": 32, "patch_blocks": 1, "patch_tokens": 2, "width": 16, "heads": 2,
        "blocks": 1, "redshift_bin": 0.02,
    },
    "optimiser": {
        "steps": 8, "batch": 64, "warmup": 2, "decay": 3, "checkpoint_every": 4,
        "validate_every": 100, "validation": 64, "threads": 1, "precision": "float32",
    },
}  # fmt: skip
