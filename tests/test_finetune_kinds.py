"""Label kinds that a model never saw: described, learned, written, and asked by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from click.testing import CliRunner
from finetune_tables import QUICK, SMALL, galaxies, write_start
from hypothesis import given
from hypothesis import strategies as st
from small_model import VOCABULARY

import jpassed
from jpassed.adaptation import KindDescription, finetune, read_kinds
from jpassed.adaptation.kind_descriptions import completed
from jpassed.adaptation.new_rows import KIND_ROWS, grown, ridge
from jpassed.annotation import infer
from jpassed.cli import main
from jpassed.exceptions import FileError, InputError, ModelError, UnknownNameError
from jpassed.nn.checkpoint import read_model
from jpassed.weights import load_model, model_vocabulary

DESCRIBED = KindDescription(
    "myindex", unit="mag", ucd="phot.color", description="A made-up index", lower=-5, upper=9
)


@pytest.fixture(scope="module")
def table_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("table") / "rows.fits"
    galaxies(130).write(path)
    return path


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    return finetune(
        galaxies(130), tmp_path_factory.mktemp("kind") / "mine", {"myindex": "index"},
        new_kinds=[DESCRIBED], settings=QUICK,
    )  # fmt: skip


# Descriptions


def test_texts_and_files_say_the_same(tmp_path):
    (tmp_path / "k.yaml").write_text(
        "ew_hdelta:\n  unit: Angstrom\n  support: real\n  scale: asinh\nd4000:\n"
    )
    table = Table({"name": ["ew_hdelta", "d4000"], "unit": ["Angstrom", ""]})
    table["scale"] = ["asinh", "linear"]
    table.write(tmp_path / "k.ecsv")
    texts = read_kinds(["ew_hdelta,Angstrom,real,asinh", "d4000"])
    assert read_kinds([str(tmp_path / "k.yaml")]) == texts
    assert read_kinds([tmp_path / "k.ecsv"]) == texts
    assert read_kinds([{"name": "d4000"}]) == texts[1:]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("logmstar", "has it already"),
        ("D4000", "small letters"),
        ("flag", "column jp_flag of its own"),
        ("z_err", "choose another name"),
        ("lineflux_halpha", "choose another name"),
        ("refine_k", "choose another name"),
        ("d4000,parsnip", "no unit"),
        ("d4000,,real,linear,more", "expected NAME"),
        ("a,mag,real", "a"),
    ],
)
def test_bad_texts(text, said):
    if text == "a,mag,real":
        assert read_kinds([text])[0].unit == "mag"
        return
    with pytest.raises(InputError, match=said):
        read_kinds([text])


def test_bad_descriptions(tmp_path):
    with pytest.raises(UnknownNameError, match="negative"):
        read_kinds(["d4000,,negative"])
    with pytest.raises(UnknownNameError, match="colour"):
        read_kinds([{"name": "d4000", "colour": "red"}])
    with pytest.raises(InputError, match="UCD"):
        read_kinds([{"name": "d4000", "ucd": "no.such"}])
    with pytest.raises(InputError, match="expected a number"):
        read_kinds([{"name": "d4000", "lower": "low"}])
    with pytest.raises(InputError, match="more than once"):
        read_kinds(["d4000", "d4000"])
    with pytest.raises(FileError, match="cannot read"):
        read_kinds([tmp_path / "none.yaml"])


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.sampled_from(["linear", "asinh"]))
def test_completed_scales_to_order_one(middle, spread, scale):
    x = middle + spread * np.linspace(-2, 2, 101)
    kind = completed(KindDescription("q", scale=scale), x)
    scaled = kind.to_scaled(x)
    assert abs(np.median(scaled)) < 1e-6
    assert 0.5 < scaled.std() < 20
    assert kind.lower < x.min() and kind.upper > x.max()
    np.testing.assert_allclose(kind.from_scaled(scaled), x, rtol=1e-6, atol=1e-6 * spread)


def test_constant_values_are_refused():
    with pytest.raises(InputError, match="the same"):
        completed(KindDescription("q"), np.full(100, 3.0))
    with pytest.raises(InputError, match="the same"):
        completed(KindDescription("q"), np.full(300, 0.2))  # whose standard deviation is 3e-17


# Learning


def test_what_is_printed_says_over_what_it_gains(learned):
    said = str(learned)
    assert " over the distribution of its values" in said
    assert "over the start" not in said
    assert "myindex: new to the model, so there are no figures before" in said
    assert f" {learned.record['rows']['held_out']} " in said
    assert list(learned.table["n"]) == [learned.record["held_out"]["myindex"]["after"]["n"]]
    assert learned.table["n"].dtype.kind == "i"


def test_posterior_is_useful_and_calibrated(learned):
    assert learned.accepted
    test = galaxies(300, seed=8)
    q = infer(test, model=learned.folder, outputs=["myindex"]).quantile(
        "myindex", [0.16, 0.5, 0.84]
    )
    true = np.asarray(test["index"])
    assert np.std(q[:, 1] - true) < 0.5 * np.std(true)
    assert 0.45 < np.mean((true > q[:, 0]) & (true < q[:, 2])) < 0.9


def test_other_quantities_stay_as_they_were(learned):
    test = galaxies(20, seed=8)
    names = ["z", "logmstar", "ew_halpha", "flux:sdss_u"]
    one, other = (infer(test, model=m, outputs=names) for m in ("default", learned.folder))
    for name in names:
        if name not in load_model("default").card["recalibration"]:
            np.testing.assert_allclose(other.median(name), one.median(name), rtol=1e-5)


def test_columns_know_the_kind(learned):
    table = jpassed.annotate(
        galaxies(3), model=learned.folder, outputs=["myindex"], samples=4, pdf=True
    )
    column = table["jp_myindex"]
    assert column.unit == "mag"
    assert "A made-up index" in column.info.description
    assert column.info.meta["ucd"] == "phot.color"
    assert table["jp_myindex_samples"].shape == (3, 4)
    assert "jp_myindex_pdf_edges" in table.meta


def test_known_kind_can_be_context(learned):
    table = jpassed.annotate(
        galaxies(3), model=learned.folder, outputs=["z"], context={"myindex": "index"}
    )
    assert np.isfinite(np.asarray(table["jp_z"])).all()


def test_model_without_it_does_not_know_it(learned):
    with pytest.raises(UnknownNameError, match="myindex"):
        jpassed.annotate(galaxies(3), outputs=["myindex"])
    assert "myindex" in model_vocabulary(learned.folder)
    assert "myindex" not in model_vocabulary("default")
    assert learned.model.vocabulary.names[:-1] == VOCABULARY.names


def test_damaged_kind_is_a_damaged_model(learned, tmp_path):
    import shutil

    shutil.copytree(learned.folder, tmp_path / "m")
    card = json.loads((tmp_path / "m" / "model.json").read_text())
    card["own_kinds"][0]["name"] = "z"
    (tmp_path / "m" / "model.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match="own kinds"):
        read_model(tmp_path / "m")


def test_noise_is_not_added(tmp_path):
    table = galaxies(130)
    table["index"] = np.random.default_rng(3).standard_normal(130)
    start = write_start(tmp_path / "small")
    found = finetune(
        table, tmp_path / "m", {"noise": "index"}, new_kinds=["noise"], model=start, settings=SMALL
    )
    assert not found.accepted
    assert "noise" not in found.model.vocabulary


def test_too_few_or_no_column(tmp_path):
    start = write_start(tmp_path / "small")
    with pytest.raises(InputError, match="at least 100 values .* got 99"):
        finetune(galaxies(99), tmp_path / "m", {"q": "index"}, new_kinds=["q"], model=start)
    with pytest.raises(InputError, match="name the column"):
        finetune(galaxies(130), tmp_path / "m", {"z": "z_spec"}, new_kinds=["q"], model=start)


# Parts


def test_grown_network_answers_as_before():
    network = load_model("default").network
    kind = completed(KindDescription("q"), [0.0, 1.0, 2.0])
    larger = grown(network, VOCABULARY.extended([kind]))
    before, after = network.state_dict(), larger.state_dict()
    count = len(VOCABULARY)
    for name, value in before.items():
        own = after[name][:count] if name in KIND_ROWS else after[name]
        np.testing.assert_array_equal(own, value)
    assert after["request_kind.weight"].shape[0] == count + 1


def test_extended_vocabulary():
    kind = completed(KindDescription("q"), [0.0, 1.0])
    larger = VOCABULARY.extended([kind])
    assert larger.index("q") == len(VOCABULARY)
    assert larger.digest != VOCABULARY.digest
    assert VOCABULARY.extended([]) is VOCABULARY
    with pytest.raises(InputError, match="exists already"):
        larger.extended([kind])


def test_ridge_leaves_one_out():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((30, 8))
    y = x @ rng.standard_normal(8) + 0.3 * rng.standard_normal(30) + 5.0
    weight, intercept, residual, penalty = ridge(x, y)
    assert np.abs(x @ weight + intercept - y).mean() < 0.5
    i = 7
    keep = np.arange(30) != i
    own = x[keep] - x[keep].mean(0)
    unit = np.linalg.svd(x - x.mean(0), compute_uv=False) ** 2
    left = np.linalg.solve(
        own.T @ own + penalty * unit.mean() * np.eye(8), own.T @ (y[keep] - y[keep].mean())
    )
    expected = y[i] - y[keep].mean() - (x[i] - x[keep].mean(0)) @ left
    assert residual[i] == pytest.approx(expected, rel=1e-6)


# Command line


def test_command_line_round_trip(table_file, tmp_path):
    run = CliRunner().invoke
    model, out = tmp_path / "mine", tmp_path / "out.ecsv"
    found = run(
        main,
        ["finetune", str(table_file), "--labels", "myindex=index", "--new-kind",
         "myindex,mag", "-o", str(model), "--steps", "20", "--seed", "1"],
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    assert f"{model}: fine-tuned" in found.output
    found = run(
        main,
        ["annotate", str(table_file), "--model", str(model), "--outputs", "z,myindex", "-o",
         str(out)],
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    table = Table.read(out)
    assert table["jp_myindex"].unit == "mag"
    assert np.corrcoef(table["jp_myindex"], table["index"])[0, 1] > 0.8


def test_command_line_says_what_is_wrong(table_file, tmp_path):
    out = ["-o", str(tmp_path / "m")]
    for words, said in (
        (["--labels", "zz=z_spec"], "unknown label quantity 'zz'"),
        (["--labels", "q=index", "--new-kind", "q,parsnip"], "no unit"),
        (["--labels", "z"], "expected QUANTITY=COLUMN"),
        (["--survey", "sdss", "--map", "x.yaml"], "exclude each other"),
    ):
        found = CliRunner().invoke(main, ["finetune", str(table_file), *words, *out])
        assert found.exit_code != 0
        assert said in found.output
    assert not (tmp_path / "m" / "model.json").exists()
