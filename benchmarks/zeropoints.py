"""Zero points without spectra: how well injected offsets are recovered, and what they do.

    PYTHONPATH=. python benchmarks/zeropoints.py FOLDER [--model default]
        [--markdown docs/zeropoints.md] [--figure docs/_static/zeropoints.png]

Simulated galaxies, the Brown et al. (2014) SEDs, the SDSS and the VVDS galaxies of the shared data
(FOLDER). Every table of the page and its figure; 4 to 8 minutes on one free core.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from astropy.table import QTable, Table
from markdown_blocks import markdown_table, replace_block
from numpy.typing import NDArray
from real_spectra import brown_jspectra
from simulated_sample import LINES, SHARES, SSP

from jpassed import annotate
from jpassed.adaptation import fit_zeropoints
from jpassed.adaptation.zeropoint_solution import grey_and_slope
from jpassed.evaluation import bias, outlier_fraction, sigma_nmad
from jpassed.filters import load_filters
from jpassed.jspectrum.error_model import load_noise
from jpassed.simulation import simulate
from jpassed.surveys.zeropoints import DOUBTFUL, ZeroPoints
from jpassed.weights import load_model

SEED = 20261123
"""The baseline of the model was measured with another."""

GALAXIES, HELD_OUT = 500, 1000
DRAWS = 3
"""Of galaxies and offsets, for the figure that has a bar."""

NUMBERS = (300, 1000, 3000)
LARGEST = 0.1
BANDS = tuple(load_filters("jpas").names)
SELECTIONS = {"r < 21": 21.0, "r < 21.5": 21.5, "r < 22.7": 22.7}

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """One catalogue with known offsets: recovery, and photometric redshifts."""

    name: str
    found: ZeroPoints
    injected: Array
    seconds: float

    @property
    def difference(self) -> Array:
        """Recovered less injected offsets relative to their means."""
        error = self.found.offset[0] - (self.injected - self.injected.mean())
        return error - error.mean()

    def without_slope(self, values: Array) -> Array:
        basis = grey_and_slope(self.found.pivot)
        return values - basis @ np.linalg.lstsq(basis, values, rcond=None)[0]

    def row(self) -> list[str]:
        rest = self.without_slope(self.difference)
        slope = grey_and_slope(self.found.pivot)[:, 1] @ self.difference / len(rest)
        own = self.found.error[0]
        return [
            self.name, f"{np.std(self.injected):.3f}", f"{np.std(self.difference):.4f}",
            f"**{np.std(rest):.4f}**", f"{np.abs(rest).max():.3f}",
            f"{slope:+.4f} ± {self.found.meta['jp_zp_slope_err']:.4f}",
            f"{np.median(own):.4f}", f"{np.sqrt(np.mean((self.difference / own) ** 2)):.2f}",
        ]  # fmt: skip


HEAD = [
    "500 galaxies", "injected, rms", "recovered less injected, rms", "... without the slope",
    "... largest", "slope left", "stated error, median", "rms of difference over error",
]  # fmt: skip


def offset_table(table: Any, offset: Array, bands: tuple[str, ...] = BANDS) -> QTable:
    """A table whose magnitudes need `offset` to be added, in columns <band> and <band>_err."""
    out = table.copy()
    for band, value in zip(bands, offset, strict=True):
        for name in (band, f"{band}_err"):
            out[name] = out[name] * 10 ** (0.4 * value)
    return out


def simulated(folder: Path, n: int, r_select: float, seed: int) -> QTable:
    """Galaxies with the noise of minijpas-v1, but for its own zero-point scatter."""
    noise = load_noise("minijpas-v1")
    return simulate(
        n, seed=seed, ssp=[folder / path for path in SSP], lines=folder / LINES, shares=SHARES,
        noise=replace(noise, zp_scatter=np.zeros(len(noise.bands))), galex=None, r_select=r_select,
    )  # fmt: skip


def brown_galaxies(folder: Path, rng: np.random.Generator) -> QTable:
    """500 of the Brown SEDs at redshifts 0.05 to 0.7 and r 18 to 21, with survey noise."""
    table = brown_jspectra(
        folder, (0.05, 0.12, 0.2, 0.3, 0.4, 0.55, 0.7), (18.0, 19.5, 21.0), filters=("jpas",)
    )
    table = table[np.sort(rng.choice(len(table), GALAXIES, replace=False))]
    noise = load_noise("minijpas-v1").select(BANDS)
    noise = replace(noise, zp_scatter=np.zeros(len(BANDS)))
    flux = np.stack([table[band].value for band in BANDS], axis=1)
    noisy, error = noise.apply(flux, rng)
    for i, band in enumerate(BANDS):
        table[band].value[:], table[f"{band}_err"].value[:] = noisy[:, i], error[:, i]
    table.remove_column("measured")
    return table


def redshifts(table: Any, truth: Array, model: Any, zeropoints: Any = None, **more: Any) -> list:
    """sigma_NMAD, bias and outliers of jp_z, as shown."""
    found = annotate(table, model=model, outputs=("z",), zeropoints=zeropoints, **more)["jp_z"]
    value = np.ma.filled(np.ma.asarray(found).astype(float), np.nan)
    seen = np.isfinite(value)
    pair = (value[seen], truth[seen])
    scores = sigma_nmad(*pair), bias(*pair), 100 * outlier_fraction(*pair)
    sys.stderr.write(f"redshifts: {scores}\n")
    return [f"{scores[0]:.5f}", f"{scores[1]:+.5f}", f"{scores[2]:.1f}"]


def recover(name: str, table: Any, injected: Array, model: Any, **more: Any) -> Case:
    start = time.perf_counter()
    found = fit_zeropoints(offset_table(table, injected), model=model, **more)
    case = Case(name, found, injected, time.perf_counter() - start)
    sys.stderr.write(f"{' | '.join(case.row())} | {case.seconds:.0f} s\n")
    return case


def simulated_part(folder: Path, model: Any) -> tuple[list[Case], str]:
    """Recovery from simulated galaxies, and their redshifts before and after."""
    rng = np.random.default_rng(SEED)
    injected = rng.uniform(-LARGEST, LARGEST, len(BANDS))
    cases, body = [], []
    for name, limit in SELECTIONS.items():
        table = simulated(folder, GALAXIES + HELD_OUT, limit, SEED)
        chosen = table[:GALAXIES]
        case = recover(f"simulated, {name}", chosen, injected, model)
        cases.append(case)
        if limit != 21.5:
            continue
        null = recover(f"simulated, {name}, nothing injected", chosen, 0 * injected, model)
        cases.append(null)
        for k in range(1, DRAWS):
            other = rng.uniform(-LARGEST, LARGEST, len(BANDS))
            more = simulated(folder, GALAXIES, limit, SEED + 100 * k)
            cases.append(recover(f"simulated, {name}, draw {k + 1}", more, other, model))
        for who, rows in (("500 used", slice(0, GALAXIES)), ("1000 others", slice(GALAXIES, None))):
            truth = np.asarray(table["true_z"][rows], dtype=float)
            moved = offset_table(table[rows], injected)
            for what, given, zeropoints in (
                ("no offsets", table[rows], None),
                ("no offsets, zero points applied all the same", table[rows], null.found),
                ("offsets up to 0.1 mag", moved, None),
                ("offsets, zero points applied", moved, case.found),
            ):
                body.append([who, what, *redshifts(given, truth, model, zeropoints)])
    head = ["galaxies, r < 21.5", "catalogue", "σ_NMAD", "bias", "beyond 0.05 (%)"]
    return cases, markdown_table(head, body)


def mean_of_draws(cases: list[Case]) -> str:
    """Mean and scatter of the figure that has a bar, over its draws."""
    own = [c for c in cases if c.name.startswith("simulated, r < 21.5") and c.injected.any()]
    rest = [float(np.std(c.without_slope(c.difference))) for c in own]
    whole = [float(np.std(c.difference)) for c in own]
    return (
        f"r < 21.5, mean and scatter of {len(own)} draws of galaxies and offsets: "
        f"**{np.mean(rest):.4f} ± {np.std(rest, ddof=1):.4f}** mag without the slope, "
        f"{np.mean(whole):.4f} ± {np.std(whole, ddof=1):.4f} with it."
    )


def shown(found: ZeroPoints) -> str:
    return ", ".join(
        f"{band.removeprefix('sdss_')} {found.offset[0, i]:+.3f} ± {found.error[0, i]:.3f}"
        for i, band in enumerate(found.bands)
    )


def number_part(folder: Path, model: Any) -> str:
    """How the offsets of a real catalogue change with the number of galaxies."""
    sdss = Table.read(folder / "catalogs" / "sdss_galaxies_gst.fits")
    sdss = sdss[np.random.default_rng(SEED + 2).permutation(len(sdss))]
    body = []
    for name, survey in (("ugriz", "sdss"), ("ugriz + 2MASS + GALEX", "auto")):
        for n in NUMBERS:
            found = fit_zeropoints(sdss[:n], model=model, survey=survey)
            verdict = found.meta["jp_zp_verdict"].split(":")[0]
            body.append([name, str(n), shown(found), verdict])
            sys.stderr.write(f"{body[-1]}\n")
    return markdown_table(["SDSS", "galaxies", "mag to add", "verdict"], body)


def brown_part(folder: Path, model: Any) -> tuple[list[Case], str]:
    """The same for real SEDs."""
    rng = np.random.default_rng(SEED + 1)
    table = brown_galaxies(folder, rng)
    injected = rng.uniform(-LARGEST, LARGEST, len(BANDS))
    truth = np.asarray(table["true_z"], dtype=float)
    cases = [
        recover("Brown SEDs", table, injected, model),
        recover("Brown SEDs, nothing injected", table, 0 * injected, model),
    ]
    moved = offset_table(table, injected)
    body = [
        ["no offsets", *redshifts(table, truth, model)],
        ["no offsets, zero points applied all the same",
         *redshifts(table, truth, model, cases[1].found)],
        ["offsets up to 0.1 mag", *redshifts(moved, truth, model)],
        ["offsets, zero points applied", *redshifts(moved, truth, model, cases[0].found)],
    ]  # fmt: skip
    head = ["500 Brown SEDs", "σ_NMAD", "bias", "beyond 0.05 (%)"]
    return cases, markdown_table(head, body)


def real_part(folder: Path, model: Any) -> tuple[str, str]:
    """SDSS and VVDS: the zero points that come out, and redshifts of other galaxies."""
    sdss = Table.read(folder / "catalogs" / "sdss_galaxies_gst.fits")
    vvds = Table.read(folder / "catalogs" / "vvds_deep_veryreliable.csv", format="ascii.csv")
    z, r = np.asarray(vvds["ds_spectra.Z"], float), np.asarray(vvds["MAG_AUTO_R"], float)
    vvds = vvds[(z > 0) & (z < 1.2) & (r > 0) & (r < 22.7)]
    vvds.rename_column("ds_spectra.Z", "Z")
    sets = (
        ("SDSS ugriz", sdss, "sdss"),
        ("SDSS ugriz + 2MASS + GALEX", sdss, "auto"),
        ("VVDS", vvds, str(Path(__file__).with_name("vvds.yaml"))),
    )
    offsets, scores = [], []
    for name, table, survey in sets:
        order = np.random.default_rng(SEED).permutation(len(table))
        used, others = table[order[:GALAXIES]], table[order[GALAXIES : 3 * GALAXIES]]
        truth = np.asarray(others["Z"], dtype=float)
        scores.append([name, "as it is", *redshifts(others, truth, model, survey=survey)])
        for how, context in (("z unknown", None), ("z known", {"z": "Z"})):
            found = fit_zeropoints(used, model=model, survey=survey, context=context)
            verdict = "doubtful" if DOUBTFUL in found.meta else ""
            verdict = verdict or found.meta["jp_zp_verdict"].split(":")[0]
            offsets.append([name, how, shown(found), verdict])
            meta = {key: value for key, value in found.meta.items() if key != DOUBTFUL}
            after = redshifts(others, truth, model, replace(found, meta=meta), survey=survey)
            scores.append([name, f"zero points, {how}", *after])
    return (
        markdown_table(["500 galaxies of", "", "mag to add", "verdict"], offsets),
        markdown_table(
            ["1000 others of", "catalogue", "σ_NMAD", "bias", "beyond 0.05 (%)"], scores
        ),
    )


def draw(cases: list[Case], path: Path) -> None:
    """Recovered against injected offsets, and the difference by wavelength."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), width_ratios=(1, 1.7))
    for case, colour, label in (
        (cases[0], "C0", "simulated, r < 21.5"), (cases[1], "C1", "Brown et al. (2014) SEDs")
    ):  # fmt: skip
        own = case.injected - case.injected.mean()
        left.errorbar(
            own, case.found.offset[0], case.found.error[0], fmt="o", ms=3, lw=0.8, color=colour,
            label=label,
        )  # fmt: skip
        right.errorbar(
            case.found.pivot, 1000 * case.without_slope(case.difference),
            1000 * case.found.error[0], fmt="o", ms=3, lw=0.8, color=colour, label=label,
        )  # fmt: skip
    reach = 1.25 * LARGEST
    left.plot([-reach, reach], [-reach, reach], color="0.6", lw=0.8, zorder=0)
    left.set(xlabel="injected offset (mag)", ylabel="recovered offset (mag)")
    left.legend(frameon=False, fontsize=8)
    right.axhspan(-5, 5, color="0.9", zorder=0)
    right.axhline(0, color="0.6", lw=0.8, zorder=0)
    right.set(
        xlabel="pivot wavelength (Å)", ylabel="recovered less injected (0.001 mag)",
        title="without mean and slope; grey: 5 mmag", ylim=(-42, 42),
    )  # fmt: skip
    right.title.set_size(9)
    figure.tight_layout()
    figure.savefig(path, dpi=80, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    start = time.perf_counter()
    model = load_model(given.model)
    cases, used = simulated_part(given.folder, model)
    brown, brown_scores = brown_part(given.folder, model)
    offsets, scores = real_part(given.folder, model)
    body = [case.row() for case in (*cases, *brown)]
    blocks = {
        "recovery": markdown_table(HEAD, body),
        "redshifts": used,
        "brown": brown_scores,
        "offsets": offsets,
        "real": scores,
        "number": number_part(given.folder, model),
        "draws": mean_of_draws(cases),
        "made": f"Model `{model.name}` {model.version}, weights `{model.digest}`; offsets drawn "
        f"evenly from -{LARGEST} to {LARGEST} mag.",
    }
    for name, text in blocks.items():
        sys.stdout.write(f"\n{text}\n")
        if given.markdown is not None:
            replace_block(given.markdown, name, text)
    if given.figure is not None:
        draw([cases[1], brown[0]], given.figure)
    sys.stdout.write(f"\n{time.perf_counter() - start:.0f} s\n")


if __name__ == "__main__":
    main()
