"""bfloat16 where it is native: what it is, what it leaves alone, and that posteriors stay."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from annotation_tables import make_table, numbers, small_model, write_small
from click.testing import CliRunner
from small_model import PASSBANDS, VOCABULARY, make_model, make_objects
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from jpassed.annotation import annotate, devices, infer
from jpassed.annotation.inference import Predictor
from jpassed.annotation.streaming import PageAnnotator
from jpassed.cli.application import main
from jpassed.exceptions import InputError, UnknownNameError
from jpassed.io import read_catalog
from jpassed.nn.checkpoint import read_model
from jpassed.nn.lowered import lowered
from jpassed.tokens import build_requests

CPU = torch.device("cpu")


@pytest.mark.parametrize("native", [{"avx512_bf16": True}, {"amx_bf16": True}, {}])
def test_automatic_precision_follows_the_processor(monkeypatch, native):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False, **native})
    assert devices.choose_precision("auto", CPU) == ("bfloat16" if native else "float32")
    assert devices.choose_precision("float32", CPU) == "float32"
    assert devices.choose_precision("bfloat16", CPU) == "bfloat16"


def test_unknown_precisions_and_devices():
    with pytest.raises(UnknownNameError, match=r"half.*auto, bfloat16, float32"):
        annotate(make_table(2), model=small_model(), precision="half")
    with pytest.raises(InputError, match="use 'float32'"):
        devices.choose_precision("bfloat16", torch.device("mps"))


def test_a_lowered_copy_keeps_first_layers_and_heads():
    model = make_model(dense_readout=True, readout_kernels=3, rest_frame=True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    copy = lowered(model)
    kinds = {name: value.dtype for name, value in copy.state_dict().items()}
    for name in ("patch.first", "band.first", "label.first", "object.first", "readout.last",
                 "rest.last", "request_band"):  # fmt: skip
        assert kinds[f"{name}.weight"] == torch.float32, name
    assert kinds["head.linear.weight"] == kinds["trunk.0.norm.weight"] == torch.float32
    for name in ("patch.last", "trunk.0.qkv", "decoder.1.feed.up", "dense.lift",
                 "redshift_head.last"):  # fmt: skip
        assert kinds[f"{name}.weight"] == torch.bfloat16, name
    assert not any(parameter.requires_grad for parameter in copy.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def other_data(network):
    for parameter in network.parameters():
        parameter.data = parameter.data * 1.5


def other_order(network):
    for parameter in network.parameters():
        parameter.data.copy_(parameter.data.flip(0))


def other_vector(network):
    vector = parameters_to_vector(network.parameters())
    vector_to_parameters(vector * 1.5, network.parameters())


@pytest.mark.parametrize(
    "change",
    [
        lambda network: [p.mul_(1.5) for p in network.parameters()],
        lambda network: [p.data.mul_(1.5) for p in network.parameters()],
        lambda network: network.request_kind.weight.data[0, 0].neg_(),
        other_data, other_order, other_vector,
    ],
    ids=["in place", "in data", "one weight", "other data", "other order", "vector"],
)  # fmt: skip
def test_a_lowered_copy_follows_the_weights(change):
    model = make_model()
    with torch.no_grad():
        first = lowered(model)
        assert lowered(model) is first
        change(model)
        second = lowered(model)
        assert second is not first and lowered(model) is second
    for name, value in model.state_dict().items():
        copied = second.state_dict()[name]
        assert torch.equal(copied, value.to(copied.dtype)), name


def test_a_lowered_copy_within_an_inference_mode():
    plain, context = make_model(), make_objects(5).context()
    requests = build_requests(["z", "tau"], VOCABULARY, PASSBANDS)
    with torch.inference_mode():
        made_within = make_model()
        copies = [lowered(plain), lowered(made_within)]
    assert copies == [lowered(plain), lowered(made_within)]
    assert next(made_within.parameters()).is_inference()
    for copy in copies:
        assert not any(p.is_inference() or p.requires_grad for p in copy.parameters())
        with torch.no_grad():
            assert torch.isfinite(copy(context, requests).parameters).all()
    with torch.inference_mode():
        made_within.request_kind.weight.mul_(2.0)
    assert lowered(made_within) is not copies[1]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_annotate_within_an_inference_mode(precision):
    options = {"outputs": "z", "precision": precision, "device": "cpu", "chi2": "none"}
    plain = annotate(make_table(3), model=small_model(), **options)
    with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        model = read_model(write_small(Path(folder)))
        within = annotate(make_table(3), model=model, **options)
    for found in (within, annotate(make_table(3), model=model, **options)):
        assert np.array_equal(found["jp_z"], plain["jp_z"])


@pytest.mark.parametrize("dense", [True, False])
def test_a_lowered_copy_computes_as_autocast_does(dense):
    """Training and inference go through the same code, with the same layers in bfloat16."""
    model = make_model(dense_readout=dense, readout_kernels=3, rest_frame=True)
    context = make_objects(40).context()
    requests = build_requests(["z", "tau", "flux:s1", "ew_oii"], VOCABULARY, PASSBANDS)
    with torch.no_grad():
        exact = model(context, requests)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            training = model(context, requests)
        found = lowered(model)(context, requests)
    for name in ("parameters", "redshift_logits"):
        off, usual = (
            (getattr(x, name) - getattr(exact, name)).abs().mean() for x in (found, training)
        )
        assert getattr(found, name).dtype == torch.float32
        assert 0 < off < 1.5 * usual + 1e-6, name


def test_the_precision_is_recorded():
    table = make_table(3)
    for name in ("float32", "bfloat16"):
        result = annotate(table, model=small_model(), outputs="tau", precision=name, device="cpu")
        assert result.meta["jp_precision"] == name
    automatic = annotate(table, model=small_model(), outputs="tau", device="cpu")
    assert automatic.meta["jp_precision"] == devices.choose_precision("auto", CPU)
    pages = PageAnnotator(model=small_model(), outputs="tau", device="cpu", precision="bfloat16")
    assert pages.task["precision"] == "bfloat16"
    assert pages(table, 0).meta["jp_precision"] == "bfloat16"


def test_other_users_of_a_model_compute_in_single_precision():
    predictor = Predictor(small_model(), ("tau",), {}, "cpu")
    assert predictor.precision == "float32" and predictor.network is small_model().network


def test_on_the_command_line(tmp_path):
    source, target = tmp_path / "in.fits", tmp_path / "out.fits"
    make_table(3).write(source)
    options = ["annotate", str(source), "-o", str(target), "--outputs", "z", "--chi2", "none"]
    result = CliRunner().invoke(main, [*options, "--precision", "bfloat16"])
    assert result.exit_code == 0, result.output
    written = read_catalog(target)
    meta = {str(key).lower(): value for key, value in written.meta.items()}
    assert meta["jp_precision"] == "bfloat16"
    refused = CliRunner().invoke(main, [*options, "--precision", "double"])
    assert refused.exit_code == 2 and "bfloat16" in refused.output


def test_posteriors_of_the_default_model_stay():
    """Log scores of values that the float32 posteriors are drawn from change by less than 0.01."""
    table = make_table(60)
    names = ["z", "logmstar", "logsfr", "av", "ew_halpha", "flux:galex_nuv"]
    high, low = (
        infer(table, outputs=names, precision=name, device="cpu")
        for name in ("float32", "bfloat16")
    )
    for name in names:
        drawn = high[name].sample(20, np.random.default_rng(1))
        change = [
            (low[name].logpdf(x) - high[name].logpdf(x)) for x in np.ascontiguousarray(drawn.T)
        ]
        assert abs(np.mean(change)) < 0.01, name
        moved = (low.median(name) - high.median(name)) / np.diff(
            high.quantile(name, [0.16, 0.84]), axis=1
        )[:, 0]
        assert np.abs(numbers(moved)).max() < 0.1, name
