"""The bake-off: its parts are right, its settings are valid, and a variant runs in seconds."""

from __future__ import annotations

import importlib
import json
import math
import sys
from dataclasses import replace

import pytest
import torch
import yaml

from jpassed.nn import ModelConfig
from jpassed.tokens import BandLayout, LabelScaling, build_context, build_requests
from jpassed.vocabulary import load_vocabulary


@pytest.fixture(scope="module")
def bakeoff(project_root):
    folder = str(project_root / "benchmarks")
    sys.path.insert(0, folder)
    try:
        yield importlib.import_module("bakeoff")
    finally:
        sys.path.remove(folder)


@pytest.fixture(scope="module")
def parts(bakeoff):
    return sys.modules["bakeoff_parts"]


@pytest.fixture(scope="module")
def table(bakeoff):
    return yaml.safe_load((bakeoff.HERE / "bakeoff_variants.yaml").read_text("utf-8"))


def default_config(project_root):
    return project_root / "benchmarks" / "bakeoff_base.yaml"


def test_every_variant_is_a_valid_setting_with_a_prediction(bakeoff, table, project_root):
    _, method = bakeoff.settings("base", table, default_config(project_root))
    seen = {}
    for name, variant in table["variants"].items():
        config, chosen = bakeoff.settings(name, table, default_config(project_root))
        assert set(chosen) == set(method), name
        assert len(variant["prediction"]) > 10 and variant["group"] in "ABCDEFG"
        # Variants that go on from trained weights may have the settings of one that does not.
        start = bool(table["groups"].get(variant["group"], {}).get("start"))
        seen[name] = json.dumps([config.as_dict(), chosen, variant.get("seconds"), start])
    assert len(set(seen.values())) == len(seen), "two variants are the same"


def test_a_group_has_its_own_baseline(bakeoff, table, project_root):
    default = default_config(project_root)
    early, _ = bakeoff.settings("base", table, default)
    dense, _ = bakeoff.settings("dense", table, default)
    fewer, _ = bakeoff.settings("dense-256", table, default)
    assert early.mix.dense == 0 and not early.model.dense_readout
    assert dense.mix.dense == 512 and dense.model.dense_readout
    assert fewer == replace(dense, mix=replace(dense.mix, dense=256))


def small(narrow=16, broad=3, **settings):
    return ModelConfig(
        patch_bands=tuple(f"b{i}" for i in range(narrow + broad)), contrast_bands=narrow,
        patch_width=16, patch_blocks=1, width=16, heads=2, blocks=1, redshift_bin=0.02, **settings,
    )  # fmt: skip


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("tokens", ["neighbours", "latents"])
def test_other_tokens_of_the_bands_answer_and_heed_presence(parts, tokens, dense):
    torch.manual_seed(0)
    config = small(dense_readout=dense, patch_tokens=3)
    vocabulary = load_vocabulary()
    scaling = LabelScaling.from_vocabulary(vocabulary, vocabulary.scalars)
    count = len(config.patch_bands)
    layout = BandLayout.make(
        config.patch_bands, [4000.0 + 100 * i for i in range(count)], [140.0] * count,
        config.patch_bands,
    )  # fmt: skip
    model = parts.build_model(config, vocabulary, tokens)
    flux = 10 + torch.rand(5, count)
    error = torch.full_like(flux, 0.3)
    observed = torch.ones_like(flux, dtype=torch.bool)
    observed[:, 3] = False
    requests = build_requests(["z", "logmstar"], vocabulary, {})

    def answer(values):
        context = build_context(
            values, error, observed, layout, vocabulary=vocabulary, scaling=scaling
        )
        if dense:
            assert model.encode(context).tokens.shape[1] == 1 + 3
            return model.from_patch(context, requests).redshift_logits
        return model(context, requests).redshift_logits

    first = answer(flux)
    assert first.shape[0] == 5 and torch.isfinite(first).all()
    hidden, shown = flux.clone(), flux.clone()
    hidden[:, 3] *= 5
    shown[:, 4] *= 1.5
    torch.testing.assert_close(answer(hidden), first)
    assert (answer(shown) - first).abs().max() > 1e-4


def test_inputs_and_hiding_are_changed_only_inside(parts):
    embedding, steps = parts.jpassed.nn.embedding, parts.jpassed.training.steps
    before = (embedding._channels, steps.hide_bands)
    value, error = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.1, 0.2]])
    there = torch.ones_like(value, dtype=torch.bool)
    whole = embedding._channels(value, error, there).unflatten(-1, (4, -1))
    with parts.changed_inputs("value", "none"):
        less = embedding._channels(value, error, there).unflatten(-1, (4, -1))
        assert steps.hide_bands(there, None, None, keep_all=0.0) is there
    assert (less[:, 1:3] == 0).all() and (whole[:, 1:3] != 0).all()
    assert (less[:, ::3] == whole[:, ::3]).all()
    assert (embedding._channels, steps.hide_bands) == before


@pytest.mark.parametrize("windows", [True, False])
def test_bands_hidden_in_one_way(parts, windows):
    generator = torch.Generator().manual_seed(1)
    observed = torch.ones(400, 30, dtype=torch.bool)
    pivot = torch.linspace(3800, 9000, 30)
    shown = parts.hide_one_way(observed, pivot, generator, 0.25, windows=windows)
    assert shown.any(-1).all()
    assert 0.2 < shown.all(-1).float().mean() < 0.4
    changes = (shown[:, 1:] != shown[:, :-1]).sum(-1)
    # A window has at most two edges; random gaps have many more.
    assert (changes <= 2).float().mean() > 0.95 if windows else changes.max() > 8


def test_schedules(bakeoff):
    plateau = {"schedule": "sqrt", "warmup": 0.1, "decay": 0.4}
    assert bakeoff.learning_rate(0.0, 1.0, plateau) < 0.03
    assert bakeoff.learning_rate(0.5, 1.0, plateau) == 1.0
    assert bakeoff.learning_rate(0.9, 1.0, plateau) == pytest.approx(1 - math.sqrt(0.75))
    assert bakeoff.learning_rate(1.01, 1.0, plateau) == 0.0
    cosine = {**plateau, "schedule": "cosine"}
    assert bakeoff.learning_rate(0.55, 1.0, cosine) == pytest.approx(0.5)
    assert bakeoff.learning_rate(1.2, 1.0, cosine) == pytest.approx(0.0, abs=1e-12)


def test_the_clock_counts_cpu_time_only(bakeoff):
    clock = bakeoff.Clock()
    assert clock.read() >= 0
    first = clock.read()
    for _ in range(20):
        torch.randn(400, 400) @ torch.randn(400, 400)
    assert clock.read() > first


@pytest.mark.real_data
def test_a_variant_runs_and_is_not_run_again(bakeoff, real_data, tmp_path, monkeypatch, capsys):
    output = tmp_path / "results.jsonl"
    settings = tmp_path / "variants.yaml"
    settings.write_text(yaml.safe_dump({
        "seconds": 1,
        "baseline": {
            "simulation": {
                "bands": ["jpas", "galex"], "noise_other": [], "pool": 512, "segment": 512,
            },
            "mix": {"full": 0.5, "partial": 0.5, "surveys": 0.0, "joined": 0.0, "requests": 4,
                    "bands": 1},
            "model": {"patch_width": 16, "patch_blocks": 1, "width": 16, "heads": 2, "blocks": 1,
                      "redshift_bin": 0.02},
            "optimiser": {"batch": 32, "threads": 1},
            "method": {"schedule": "sqrt", "warmup": 0.1, "decay": 0.4,
                       "hide": "default", "inputs": "all", "tokens": "dense"},
        },
        "groups": {
            "G": {"mix": {"dense": 64}, "model": {"dense_readout": True}},
            "F": {"start": True},
        },
        "variants": {
            "base": {"group": "A", "prediction": "starting point"},
            "muon": {"group": "B", "prediction": "as good", "optimiser": {"name": "muon"}},
            "dense": {"group": "G", "prediction": "better"},
            "fewer": {"group": "G", "prediction": "worse", "mix": {"requests": 2}},
            "on": {"group": "F", "prediction": "not run without weights to start from"},
        },
    }, sort_keys=False))  # fmt: skip
    arguments = [
        "bakeoff.py", str(real_data), "-o", str(output), "--variants", str(settings),
        "--n", "256", "--seconds", "0.3", "--pool", "512",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", arguments)
    bakeoff.main()
    results = [json.loads(line) for line in output.read_text().splitlines()]
    assert [r["name"] for r in results] == ["base", "muon", "dense", "fewer"]
    assert "--start" in capsys.readouterr().out
    for r in results:
        each = 32 + 64 * (r["group"] == "G")
        assert r["steps"] > 0 and r["samples"] == each * r["steps"]
        figures = [r["log_z"], r["half_log_z"], r["labels_mean"], r["half_flux"], *r["nmad"]]
        assert all(math.isfinite(v) for v in figures)
        assert set(r["labels"]) == set(load_vocabulary().scalars) - {"z"}
    bakeoff.main()
    assert len(output.read_text().splitlines()) == 4
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", [*arguments, "--table"])
    bakeoff.main()
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 2 + 4
    assert len({line.count("|") for line in printed}) == 1
    monkeypatch.setattr(sys, "argv", [*arguments, "--against", "dense"])
    bakeoff.main()
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in printed[2:]] == ["dense", "fewer"]
    apart = results[3]["log_z"] - results[2]["log_z"]
    assert float(printed[3].split("|")[5]) == pytest.approx(apart, abs=6e-4)
