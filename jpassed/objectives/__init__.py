"""Training objectives, one a file."""

from jpassed.objectives.request_nll import request_nll, row_nll

__all__ = ["request_nll", "row_nll"]
