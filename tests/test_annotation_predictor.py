"""Inference and training see the same: one context, one network, one answer."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from annotation_tables import BANDS, CONFIG, PATCH, make_table, masked, small_model, write_small
from scipy.stats import norm

from jpassed.annotation import Predictor, annotate, infer
from jpassed.filters import known_bands
from jpassed.nn.checkpoint import read_model
from jpassed.posteriors import Binned, Gaussian, GaussianMixture, Recalibrated, Recalibration
from jpassed.surveys import read_labels, read_photometry
from jpassed.tokens import BandLayout, LabelScaling, build_context, build_requests
from jpassed.tokens.scaling import flux_to_scaled
from jpassed.vocabulary import load_vocabulary

VOCABULARY = load_vocabulary()
SCALING = LabelScaling.from_vocabulary(VOCABULARY, VOCABULARY.scalars)
OUTPUTS = ("z", "logmstar", "tau", "flux:J0660")


@pytest.fixture
def table():
    out = masked(masked(make_table(7), "J0470", [1, 4]), "sdss_i", [2])
    out["z_spec"][3] = np.nan
    out["z_spec_err"] = np.linspace(0.0, 0.01, 7)
    return out


def training_context(table):
    """The context as a training step builds it: from flux, error, presence and label arrays."""
    columns = [table[b] for b in BANDS]
    flux = np.stack([np.asarray(getattr(c, "unmasked", c).value) for c in columns], 1)
    error = np.stack([table[f"{b}_err"].value for b in BANDS], 1)
    nowhere = np.zeros(len(table), dtype=bool)
    seen = np.stack([~np.asarray(getattr(c, "mask", nowhere)) for c in columns], 1)
    where = [known_bands()[b] for b in BANDS]
    layout = BandLayout.make(BANDS, [w[0] for w in where], [w[1] for w in where], PATCH)
    value = torch.zeros(len(table), len(SCALING.names))
    sigma, given = torch.zeros_like(value), torch.zeros_like(value, dtype=torch.bool)
    i = SCALING.names.index("z")
    z = np.asarray(table["z_spec"])
    given[:, i] = torch.tensor(np.isfinite(z))
    value[:, i] = torch.tensor(np.nan_to_num(z, nan=5.0))
    sigma[:, i] = torch.tensor(np.asarray(table["z_spec_err"]))
    return build_context(
        torch.tensor(flux, dtype=torch.float32),
        torch.tensor(error, dtype=torch.float32),
        torch.tensor(seen),
        layout,
        vocabulary=VOCABULARY,
        scaling=SCALING,
        label_value=value,
        label_error=sigma,
        label_given=given,
    )


def inference_context(table, predictor, rows=slice(0, 7)):
    photometry = read_photometry(table)
    order = [photometry.bands.index(band) for band in BANDS]
    assert sorted(order) == list(range(len(BANDS)))
    layout = BandLayout.make(photometry.bands, photometry.pivot, photometry.width, PATCH)
    return predictor.context(photometry, read_labels(table, {"z": "z_spec"}), rows, layout)


def same_tokens(one, other, bands: bool) -> None:
    """Equal to the bit; single bands may stand in another order."""
    order = one.wavelength[0, :, 0].argsort(), other.wavelength[0, :, 0].argsort()
    for item in fields(one):
        first, second = getattr(one, item.name), getattr(other, item.name)
        if bands:
            first, second = first[:, order[0]], second[:, order[1]]
        assert torch.equal(first, second), item.name


def test_the_context_is_that_of_training(table):
    predictor = Predictor(small_model(), OUTPUTS, known_bands(), "cpu")
    mine, training = inference_context(table, predictor), training_context(table)
    same_tokens(mine.patch, training.patch, bands=False)
    same_tokens(mine.bands, training.bands, bands=True)
    same_tokens(mine.labels, training.labels, bands=False)
    assert torch.equal(mine.has_scale, training.has_scale)
    torch.testing.assert_close(mine.log_scale, training.log_scale, rtol=1e-6, atol=1e-6)


def test_predictions_are_those_of_the_network(table):
    """Medians of columns are medians of what the network says, on the training's own scales."""
    context = training_context(table)
    requests = build_requests(OUTPUTS[1:], VOCABULARY, known_bands())
    with torch.no_grad():
        prediction = small_model().network(context, requests)
    posterior = infer(
        table, model=small_model(), outputs=OUTPUTS[1:], context={"z": "z_spec"},
        precision="float32",
    )  # fmt: skip
    for i, name in enumerate(OUTPUTS[1:]):
        logit, mean, log_sigma = prediction.parameters[:, i].double().chunk(3, -1)
        weight, sigma = logit.softmax(-1), log_sigma.exp()
        x = torch.tensor(posterior.quantile(name, [0.1, 0.5, 0.9]))
        if name.startswith("flux"):
            y, _ = flux_to_scaled(x, context.log_scale.double().exp())
        else:
            kind = VOCABULARY[name]
            y = torch.tensor(kind.to_scaled(x.numpy()))

        def mass(y, weight=weight, mean=mean, sigma=sigma):
            u = (y.unsqueeze(-1) - mean.unsqueeze(1)) / sigma.unsqueeze(1)
            return (weight.unsqueeze(1) * torch.special.ndtr(u)).sum(-1)

        low, high = torch.zeros(len(table), 1), torch.ones(len(table), 1)
        if not name.startswith("flux"):
            edges = torch.tensor(kind.to_scaled(np.array([kind.lower, kind.upper])))
            low, high = mass(edges.expand(len(table), 2)).split(1, dim=1)
        inside = (mass(y) - low) / (high - low)
        np.testing.assert_allclose(inside, np.tile([0.1, 0.5, 0.9], (7, 1)), atol=2e-4)


def test_the_redshift_is_that_of_the_bins(table):
    context = training_context(table)
    labels = context.labels
    none = replace(labels, **{f.name: getattr(labels, f.name)[:, :0] for f in fields(labels)})
    context = replace(context, labels=none)
    network = small_model().network
    with torch.no_grad():
        logits = network(context, build_requests(["z"], VOCABULARY, {})).redshift_logits
    p = logits.double().softmax(-1).numpy()
    edges = np.expm1(network.redshift_head.edges.double().numpy())
    posterior = infer(table, model=small_model(), outputs=["z"], precision="float32")
    # Bins keep their probability, whatever the density inside them; those up to 1.2 share it.
    below = edges[1:] < 1.2
    cumulative = p.cumsum(1)[:, below]
    found = posterior.cdf("z", edges[1:][None, below])
    np.testing.assert_allclose(
        found / found[:, -1:], cumulative / cumulative[:, -1:], rtol=1e-4, atol=1e-6
    )
    assert posterior["z"].interpolation == "cubic"


def test_forms_of_the_posterior(table, tmp_path):
    gaussian = read_model(
        write_small(tmp_path / "g", replace(CONFIG, head_real="gaussian", head_redshift="binned"))
    )
    all_gaussian = read_model(
        write_small(tmp_path / "a", replace(CONFIG, head_real="gaussian", head_redshift="gaussian"))
    )
    kinds = {
        id(model): [type(infer(table, model=model, outputs=OUTPUTS)[q]) for q in OUTPUTS]
        for model in (small_model(), gaussian, all_gaussian)
    }
    assert kinds[id(small_model())] == [Binned] + [GaussianMixture] * 3
    assert kinds[id(gaussian)] == [Binned] + [Gaussian] * 3
    assert kinds[id(all_gaussian)] == [Gaussian] * 4
    result = annotate(table, model=all_gaussian, outputs=OUTPUTS, samples=3, pdf=True)
    assert np.isfinite(np.asarray(result["jp_z_samples"])).all()


def test_a_model_without_a_patch(table, tmp_path):
    """Every band a token of its own: the published form."""
    model = read_model(write_small(tmp_path / "m", replace(CONFIG, patch_bands=())))
    result = annotate(table, model=model, outputs=OUTPUTS)
    again = annotate(table, model=model, outputs=OUTPUTS, batch_size=2)
    np.testing.assert_allclose(result["jp_z"], again["jp_z"], rtol=1e-4)


def test_recalibrations_of_the_card_are_applied(table, tmp_path):
    wider = Recalibration((-8.0, 8.0), (-4.0, 4.0))  # twice the width in normal scores
    folder = write_small(tmp_path / "m", recalibration={"logmstar": wider.to_dict()})
    recalibrated = infer(table, model=folder, outputs=OUTPUTS)
    plain = infer(table, model=small_model(), outputs=OUTPUTS)
    assert type(recalibrated["logmstar"]) is Recalibrated
    assert type(recalibrated["tau"]) is GaussianMixture
    np.testing.assert_allclose(recalibrated.median("tau"), plain.median("tau"), rtol=1e-5)
    np.testing.assert_allclose(
        recalibrated.quantile("logmstar", norm.cdf(0.5)),
        plain.quantile("logmstar", norm.cdf(1.0)),
        rtol=1e-4,
    )


def test_the_model_stays_as_it_was(table):
    model = small_model()
    before = {k: v.clone() for k, v in model.network.state_dict().items()}
    annotate(table, model=model, context={"z": "z_spec"})
    assert not model.network.training
    assert all(torch.equal(before[k], v) for k, v in model.network.state_dict().items())


def test_unobserved_numbers_never_reach_the_network(table, monkeypatch):
    """The presence mask decides, not the value: poison under the mask changes no token."""
    photometry = read_photometry(table)
    poisoned = replace(
        photometry,
        flux=np.where(photometry.observed, photometry.flux, 1e30),
        error=np.where(photometry.observed, photometry.error, np.nan),
    )
    predictor = Predictor(small_model(), ["z"], known_bands(), "cpu")
    (clean,), (dirty,) = (list(predictor.batches(p)) for p in (photometry, poisoned))
    assert not photometry.observed.all()
    np.testing.assert_array_equal(clean.posterior.median("z"), dirty.posterior.median("z"))
