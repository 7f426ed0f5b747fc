"""Training objectives, one a file."""

from jpassed.objectives.known import check_objective, load_objective
from jpassed.objectives.means import mean_of_requests
from jpassed.objectives.request_nll import request_nll, row_nll

__all__ = ["check_objective", "load_objective", "mean_of_requests", "request_nll", "row_nll"]
