"""Tokens: what the model sees. Training and inference build them with the same functions."""

from jpassed.tokens.batch import Context, Requests, TokenBatch
from jpassed.tokens.build import BandLayout, build_context, build_requests
from jpassed.tokens.scaling import LabelScaling, flux_scale, flux_to_scaled

__all__ = [
    "BandLayout",
    "Context",
    "LabelScaling",
    "Requests",
    "TokenBatch",
    "build_context",
    "build_requests",
    "flux_scale",
    "flux_to_scaled",
]
