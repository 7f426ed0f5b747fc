"""Embeddings: what a vector depends on, and what lies near another."""

from __future__ import annotations

import numpy as np
import pytest
from annotation_tables import make_table, small_model
from astropy import units as u
from astropy.table import MaskedColumn, QTable
from hypothesis import given
from hypothesis import strategies as st
from small_model import make_model, make_objects

from jpassed.annotation import embed, similar
from jpassed.annotation.embedding_map import (
    EmbeddingMap,
    load_embedding_map,
    pooled,
    write_embedding_map,
)
from jpassed.exceptions import InputError, ModelError
from jpassed.filters import known_bands, load_filters
from jpassed.weights import load_model

JPAS = tuple(load_filters("jpas").names)


def galaxies(n: int = 40, seed: int = 5, noise: int = 1) -> QTable:
    """Continua with a break and a line of their own, in all J-PAS bands, with 2 % noise."""
    rng = np.random.default_rng(seed)
    pivot = np.array([known_bands()[band][0] for band in JPAS])
    slope, jump = rng.uniform(-0.5, 2.5, (n, 1)), rng.uniform(0.3, 1.0, (n, 1))
    edge = rng.uniform(4100.0, 6500.0, (n, 1))
    flux = 10 ** rng.uniform(1.0, 2.5, (n, 1)) * (pivot / 6000.0) ** slope
    flux *= np.where(pivot < edge, jump, 1.0)
    flux *= 1.0 + rng.uniform(0, 1, (n, 1)) * np.exp(-0.5 * ((pivot - 1.4 * edge) / 80.0) ** 2)
    flux += 0.02 * flux * np.random.default_rng(noise).standard_normal(flux.shape)
    table = QTable({"id": np.arange(n)})
    for i, band in enumerate(JPAS):
        table[band] = flux[:, i] * u.uJy
        table[f"{band}_err"] = 0.02 * np.abs(flux[:, i]) * u.uJy
    return table


def vectors(table: QTable) -> np.ndarray:
    return np.ma.filled(np.ma.asarray(table["jp_embedding"]), np.nan)


def test_column_and_meta() -> None:
    table = galaxies(6)
    result = embed(table)
    assert result.colnames == [*table.colnames, "jp_embedding"]
    column = result["jp_embedding"]
    assert column.shape == (6, 32) and column.dtype == np.float32 and column.unit is None
    assert np.isfinite(vectors(result)).all()
    assert "32 numbers" in column.description and column.info.meta["ucd"] == "meta.modelled"
    assert result.meta["jp_embedding_weights"] == load_model("default").digest
    assert "jp_embedding" not in table.colnames


def test_the_same_galaxy_with_other_noise_and_bands_is_the_nearest() -> None:
    first = vectors(embed(galaxies()))
    again = galaxies(noise=2)
    seen_again = vectors(embed(again))
    half = vectors(embed(again[[n for b in JPAS[::2] for n in (b, f"{b}_err")]]))
    for other, share in ((seen_again, 0.85), (half, 0.6)):
        apart = np.linalg.norm(other[:, None] - first[None], axis=2)
        assert np.mean(apart.argmin(axis=1) == np.arange(len(first))) > share


def test_batches_and_the_order_of_rows_and_columns_do_not_matter() -> None:
    table = galaxies(12)
    plain = vectors(embed(table))
    order = np.random.default_rng(1).permutation(12)
    np.testing.assert_allclose(
        vectors(embed(table[order], batch_size=5)), plain[order], rtol=1e-3, atol=2e-3
    )
    np.testing.assert_allclose(
        vectors(embed(table[table.colnames[::-1]])), plain, rtol=1e-3, atol=2e-3
    )


def test_a_missing_band_is_not_read_and_padding_tokens_do_not_count() -> None:
    model = make_model()
    objects = make_objects(8, given=0.3)
    alone = [pooled(model, objects.rows([i]).context())[0].numpy() for i in range(8)]
    together = pooled(model, objects.context()).numpy()
    # Objects with fewer labels have padding beside those with more.
    np.testing.assert_allclose(together, np.stack(alone), rtol=1e-4, atol=1e-5)


def test_rows_without_anything_known_are_masked() -> None:
    table = galaxies(3)
    for band in JPAS:
        for name in (band, f"{band}_err"):
            values = table[name].value.copy()
            table[name] = MaskedColumn(values, mask=[False, True, False], unit="uJy")
    result = embed(table)
    assert result["jp_embedding"].mask[1].all()
    assert not result["jp_embedding"].mask[[0, 2]].any()
    rows, distances = similar(result["jp_embedding"], 0)
    assert rows.tolist() == [2] and distances[0] > 0
    with pytest.raises(InputError, match="row 1 has no embedding"):
        similar(result["jp_embedding"], 1)


def test_few_broad_bands_of_another_survey_do() -> None:
    table = QTable({f"sdss_{b}": [20.0, 40.0] * u.uJy for b in "ugriz"})
    for band in "ugriz":
        table[f"sdss_{band}_err"] = [0.4, 0.4] * u.uJy
    assert np.isfinite(vectors(embed(table))).all()


def test_a_context_label_shapes_the_vector() -> None:
    table = galaxies(4)
    table["z_spec"] = [0.1, 0.2, 0.3, 0.4]
    plain, known = vectors(embed(table)), vectors(embed(table, context={"z": "z_spec"}))
    assert (np.linalg.norm(plain - known, axis=1) > 0.1).all()


def test_an_embedded_table_is_not_embedded_again_unasked() -> None:
    once = embed(galaxies(2))
    with pytest.raises(InputError, match="already has jp_embedding"):
        embed(once)
    twice = embed(once, replace_columns=True)
    assert twice.colnames == once.colnames
    np.testing.assert_array_equal(vectors(twice), vectors(once))


def test_another_model_has_no_map() -> None:
    with pytest.raises(ModelError, match=r"model 'small' .* has no embedding.*fit_embedding"):
        embed(make_table(), model=small_model())


def test_the_map_belongs_to_the_embedded_model() -> None:
    fitted = load_embedding_map(load_model("default"))
    assert fitted.card["network"] == load_model("default").digest, "run tools/fit_embedding.py"
    assert fitted.size == 32 and np.isfinite(fitted.weight).all()


def test_a_map_survives_its_file_and_a_damaged_one_is_told(tmp_path) -> None:
    model = small_model()
    rng = np.random.default_rng(0)
    fitted = EmbeddingMap(
        rng.normal(size=(24, 3)).astype(np.float32), np.ones(24, np.float32),
        {"network": model.digest},
    )  # fmt: skip
    path = write_embedding_map(fitted, tmp_path / "map.safetensors")
    read = load_embedding_map(model, path)
    x = rng.normal(size=(5, 24)).astype(np.float32)
    np.testing.assert_allclose(read(x), fitted(x), atol=0.02)
    np.testing.assert_allclose(read(np.ones((1, 24), np.float32)), np.zeros((1, 3)), atol=1e-6)
    path = tmp_path / "bad.safetensors"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ModelError, match="damaged"):
        load_embedding_map(model, path)


@given(
    st.integers(2, 30), st.integers(1, 5), st.integers(1, 12), st.integers(1, 40),
    st.integers(0, 10_000),
)  # fmt: skip
def test_similar_is_a_stable_sort_of_all_distances(
    n: int, size: int, wanted: int, chunk: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 3, (n, size)).astype(float)  # many ties
    points[rng.random(n) < 0.2] = np.nan
    row = int(rng.integers(n))
    points[row] = 1.0
    rows, distances = similar(points, row, wanted, chunk=chunk)
    apart = np.linalg.norm(points - points[row], axis=1)
    apart[row] = np.nan
    order = [i for i in np.argsort(apart, kind="stable") if np.isfinite(apart[i])][:wanted]
    assert rows.tolist() == order
    np.testing.assert_allclose(distances, apart[order])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"row": 3}, "row: expected 0 to 2, got 3"),
        ({"row": -1}, "row: expected 0 to 2"),
        ({"row": 0.5}, "row: expected a whole number"),
        ({"n": 0}, "positive numbers, got 0"),
        ({"vectors": np.zeros(3)}, r"shape \(N, D\), got \(3,\)"),
    ],
)
def test_similar_refuses(change: dict, message: str) -> None:
    arguments = {"vectors": np.zeros((3, 2)), "row": 0, **change}
    with pytest.raises(InputError, match=message):
        similar(**arguments)
