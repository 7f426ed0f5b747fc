"""An object's numbers are the same to the last bit beside any other objects, in any batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from annotation_tables import BANDS, make_table, masked, small_model
from astropy.table import QTable, vstack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_model import PASSBANDS, VOCABULARY, make_model, make_objects

import jpassed
from jpassed.annotation import annotate, blocks
from jpassed.annotation.inference import Predictor
from jpassed.nn.lowered import lowered
from jpassed.tokens import build_requests

OUTPUTS = ["z", "logmstar", "ew_halpha", "flux:J0660"]
N = 40
PRECISIONS = ("float32", "bfloat16")


def gaps(n: int = N) -> QTable:
    """Objects that miss bands and redshifts here and there."""
    rng = np.random.default_rng(5)
    table = make_table(n)
    for band in (*BANDS[:3], "galex_nuv"):
        table = masked(table, band, np.flatnonzero(rng.random(n) < 0.5).tolist())
    table["z_spec"][rng.random(n) < 0.5] = np.nan
    return table


def exact(one: QTable, other: QTable) -> None:
    """New columns agree to the last bit, masks as well."""
    names = [name for name in one.colnames if name.startswith("jp_")]
    assert names == [name for name in other.colnames if name.startswith("jp_")] and names
    for name in names:
        first, second = (np.ma.asarray(getattr(t[name], "value", t[name])) for t in (one, other))
        assert np.array_equal(np.ma.getmaskarray(first), np.ma.getmaskarray(second)), name
        assert first.filled(0).tobytes() == second.filled(0).tobytes(), name


@pytest.fixture(scope="module", params=PRECISIONS)
def options(request):
    return {
        "model": small_model(), "outputs": OUTPUTS, "context": {"z": "z_spec"}, "device": "cpu",
        "precision": request.param, "pdf": True,
    }  # fmt: skip


@pytest.fixture(scope="module")
def whole(options) -> QTable:
    return annotate(gaps(), **options)


@settings(
    max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    rows=st.lists(st.integers(0, N - 1), min_size=1, max_size=2 * N),
    size=st.one_of(st.none(), st.integers(5, 60)),
)
def test_any_rows_in_any_batches(options, whole, rows, size):
    exact(annotate(gaps()[rows], batch_size=size, **options), whole[rows])


def test_pages_and_repetitions(options, whole):
    """More rows than a block holds; and pages that are put together again."""
    many = list(range(N)) * 8
    assert len(many) > 2 * blocks.BLOCK["cpu"]
    exact(annotate(gaps()[many], **options), whole[many])
    pages = [annotate(gaps()[k : k + 7], **options) for k in range(0, N, 7)]
    exact(vstack(pages, metadata_conflicts="silent"), whole)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("model", ["small", "default"])
def test_pages_whose_redshifts_are_all_known(precision, model):
    """The redshift is a question too many there, but questions left out change rounding."""
    table = gaps(30)
    known = np.flatnonzero(np.isfinite(table["z_spec"]))
    assert 3 < len(known) < 27
    options = {
        "model": small_model() if model == "small" else model, "chi2": "none", "device": "cpu",
        "outputs": ["logmstar", "logsfr", "av", "tau", "t0", "ew_halpha"],
        "context": {"z": "z_spec"}, "precision": precision,
    }  # fmt: skip
    exact(annotate(table[known], **options), annotate(table, **options)[known])


def test_a_redshift_that_nobody_reads_takes_no_pass_of_its_own(monkeypatch):
    passes = []
    ask = Predictor.ask
    monkeypatch.setattr(Predictor, "ask", lambda *at: passes.append(len(at[1])) or ask(*at))
    table = gaps(10)
    options = {"model": small_model(), "context": {"z": "z_spec"}, "chi2": "none"}
    annotate(table, outputs="tau", **options)
    assert passes == [10]
    annotate(table, outputs="z,tau", **options)
    assert passes == [10, 10, int(np.isfinite(table["z_spec"]).sum())]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_default_model(precision):
    table = gaps(30)
    options = {"device": "cpu", "precision": precision, "context": {"z": "z_spec"}}
    rows = [29, 3, 3, 17, *range(8, 14)]
    exact(annotate(table[rows], **options), annotate(table, **options)[rows])


@settings(max_examples=15, deadline=None)
@given(
    rows=st.permutations(range(12)),
    kept=st.integers(1, 12),
    half=st.booleans(),
    seed=st.integers(0, 9),
)
def test_the_network_in_blocks(rows, kept, half, seed):
    model = make_model(dense_readout=True, readout_kernels=3, rest_frame=True)
    network = lowered(model) if half else model
    context = make_objects(12, seed).context()
    requests = build_requests(["z", "flux:s1", "ew_oii", "tau"], VOCABULARY, PASSBANDS)
    some = torch.tensor(rows[:kept])
    with torch.inference_mode():
        every = blocks.ask(network, context, requests)
        few = blocks.ask(network, context[some], requests)
        known = blocks.ask(network, context, requests, blocks.embed(network, context))
    assert torch.equal(few.prediction.parameters, every.prediction.parameters[some])
    assert torch.equal(few.prediction.redshift_logits, every.prediction.redshift_logits[some])
    assert torch.equal(few.vector, every.vector[some])
    tolerance = 0.05 if half else 1e-4
    torch.testing.assert_close(
        known.prediction.parameters, every.prediction.parameters, rtol=0, atol=tolerance
    )


def test_blocks_answer_as_the_network_does():
    """Padding and sorting by length change nothing but rounding."""
    model, objects = make_model(), make_objects(50, observed=0.4, given=0.05)
    requests = build_requests(["z", "flux:s1", "tau"], VOCABULARY, PASSBANDS)
    context = objects.context()
    counts = context.labels.present.sum(1).unique(), context.bands.present.sum(1).unique()
    assert min(len(c) for c in counts) > 2
    with torch.inference_mode():
        found, plain = blocks.ask(model, context, requests).prediction, model(context, requests)
    torch.testing.assert_close(found.parameters, plain.parameters, rtol=0, atol=2e-5)
    torch.testing.assert_close(found.redshift_logits, plain.redshift_logits, rtol=0, atol=2e-5)


def test_no_object_is_padded_to_the_longest_of_its_batch(monkeypatch):
    """Objects without labels and single bands go through the trunk without such tokens."""
    model = make_model()
    lengths: dict[int, int] = {}
    first = model.trunk[0]

    def watch(module, arguments):
        x = arguments[0]
        lengths[x.shape[1]] = lengths.get(x.shape[1], 0) + len(x)

    handle = first.register_forward_pre_hook(watch)
    objects = make_objects(20, given=0.3)
    objects.given[:10] = False
    objects.observed[:10, 5:] = False
    requests = build_requests(["tau"], VOCABULARY, PASSBANDS)
    with torch.inference_mode():
        blocks.ask(model, objects.context(), requests)
    handle.remove()
    assert min(lengths) == 3 and len(lengths) > 2


def test_an_asked_label_is_answered_for_its_rows_alone():
    """Rows without it keep the answer of the common question, to the bit."""
    table = gaps(10)
    photometry = jpassed.surveys.read_photometry(table)
    labels = jpassed.surveys.read_labels(table, {"z": "z_spec"})
    predictor = Predictor(small_model(), ("z", "tau"), {}, "cpu")
    (plain,) = predictor.batches(photometry)
    (known,) = predictor.batches(photometry, labels)
    z = [batch.posterior.median("z") for batch in (plain, known)]
    # The photometric redshift does not know the label of its own object.
    np.testing.assert_allclose(z[0], z[1], rtol=1e-4)
    own = labels["z"].observed
    tau = [batch.posterior.median("tau") for batch in (plain, known)]
    assert np.array_equal(tau[0][~own], tau[1][~own])
    assert (np.abs(tau[0] - tau[1])[own] > 0).all()
