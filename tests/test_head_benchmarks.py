"""The benchmarks of heads read the vectors that the network's own heads read."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_model import PASSBANDS, VOCABULARY, make_model, make_objects
from torch import nn

from jpassed.tokens import build_requests

NAMES = ("tau", "z", "flux:s1", "ew_oii")


@pytest.mark.parametrize("dense", [True, False])
def test_vectors_before_the_heads(
    project_root: Path, monkeypatch: pytest.MonkeyPatch, dense: bool
) -> None:
    monkeypatch.syspath_prepend(str(project_root / "benchmarks"))
    from redshift_bins import Bins
    from request_vectors import before_heads

    model = make_model(dense_readout=dense)
    for part in () if model.dense is None else model.dense.lift.parameters():
        nn.init.normal_(part, std=0.3)
    context = make_objects(9).context()
    requests = build_requests(NAMES, VOCABULARY, PASSBANDS)
    vectors = before_heads(model, context, requests)
    assert vectors.shape == (9, len(NAMES), model.config.head_width)
    with torch.no_grad():
        said = model(context, requests)
        parameters = model.head(vectors, requests.kind)
        logits = Bins(model.redshift_head, 1, 0.5)(vectors[:, NAMES.index("z")])
        twice = Bins(model.redshift_head, 2, 0.5)(vectors[:, NAMES.index("z")])
    torch.testing.assert_close(parameters, said.parameters, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logits, said.redshift_logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(twice, logits.repeat_interleave(2, 1))
