"""The model on real galaxies, beside simulated twins of the same redshift, magnitude and noise.

    PYTHONPATH=. python benchmarks/real.py FOLDER [--model default] [--only PART] [--quick]
        [--markdown docs/real.md] [-o real.json]

Parts: `spectra` (SDSS and BOSS galaxy spectra as J-spectra), `brown` (SEDs of Brown et al. 2014
with GALEX), `desi` (stack of luminous red galaxies, coverage of QSO coadds), `sdss` (7,000
galaxies with ugriz, 2MASS, GALEX), `vvds`, `residuals` (of the reconstruction, band by band),
`eazy` (eazy-py on the same objects; needs `pip install scikit-learn eazy`). With --only the other
parts are taken from the file of -o, if it is there; with --cache the answers of eazy-py, which do
not depend on our weights, are kept. All of it takes four minutes on one core.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from markdown_blocks import replace_block, shown_command
from real_catalogues import BAND_SETS, by_trees, colours, sdss_sets, ultraviolet, vvds_sets
from real_figure import draw_figure
from real_lines import line_objects
from real_residuals import residuals, summary
from real_scores import Row, line_row, redshift_row, redshift_scores
from real_sets import ObjectSet, brown_sets, desi_coverage, lrg_sets, spectra_sets
from real_spectra import LINES
from real_tables import bars, blocks, losses_in_short

import jpassed
from jpassed.annotation import infer
from jpassed.jspectrum.error_model import load_noise

FIGURE = "_static/real_residuals.png"
LEAST_EW = 10.0
WIDTHS = ((10.0, 20.0), (20.0, 50.0), (50.0, np.inf))
"""Å: parts by which strong lines at r = 19 are split."""

SHARE = 0.6
"""Brown SEDs are split at this share of bands that were observed, not modelled."""


@dataclass(frozen=True)
class Size:
    """How much of everything is measured."""

    draws: int = 50
    spectra: tuple[float, ...] = (18.0, 19.0, 20.0, 21.0, 22.0)
    brown_each: int = 16
    brown: tuple[float, ...] = (18.0, 19.0, 20.0, 21.0, 22.0, 22.5)
    lrg: tuple[float, ...] = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
    sdss_step: int = 1
    residuals: int = 1500
    eazy: int = 100
    cache: Path | None = None


QUICK = Size(2, (19.0,), 1, (19.0, 22.0), (0.5,), 25, 80, 12)


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the shared data")
    parser.add_argument("--model", default="default")
    parser.add_argument("--only", action="append", choices=list(PARTS), default=None)
    parser.add_argument("--quick", action="store_true", help="few objects: does it run?")
    parser.add_argument("--cache", type=Path, default=None, help="folder for answers of eazy-py")
    parser.add_argument("-o", "--output", type=Path, default=None)
    parser.add_argument("--markdown", type=Path, default=None)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = jpassed.load_model(options.model)
    figures: dict[str, Any] = {}
    if options.only and options.output and options.output.exists():
        figures = json.loads(options.output.read_text("utf-8"))
    figures |= {
        "model": model.name,
        "weights": model.digest,
        "noise": {name: load_noise(name).digest[:16] for name in ("minijpas-v1", "galex-ais")},
        "command": shown_command(sys.argv),
    }
    seconds = figures.setdefault("seconds", {})
    size = replace(QUICK if options.quick else Size(), cache=options.cache)
    for name in options.only or PARTS:
        began = time.process_time()
        figures[name] = PARTS[name](options.folder, model, size)
        seconds[name] = time.process_time() - began
        print(f"{name}: {seconds[name]:.0f} s of CPU", file=sys.stderr)
        figures["bars"] = bars(figures)
        if options.output:
            options.output.write_text(json.dumps(figures, indent=1, default=float) + "\n", "utf-8")
    texts = blocks(figures)
    print("\n\n".join(texts.values()))
    print(losses_in_short(figures))
    if options.markdown:
        for name, text in texts.items():
            replace_block(options.markdown, name, text)
        if "residuals" in figures:
            draw_figure(figures["residuals"], options.markdown.parent / FIGURE)


def spectra(folder: Path, model: Any, size: Size) -> dict[str, Any]:
    """SDSS and BOSS galaxy spectra with survey noise: redshifts and line strengths."""
    real, twin = spectra_sets(folder, size.spectra, size.draws)
    outputs = ("z", *LINES)
    found: dict[str, Any] = {"redshift": {}, "lines": {}, "widths": {}}
    for label, objects in (("real", real), ("simulated", twin)):
        posterior = answers(objects, model, outputs)
        scores = redshift_scores(posterior["z"], objects.z)
        if label == "real":
            found["objects"] = line_objects(
                folder, objects, posterior, objects.place == "r = 19", LEAST_EW
            )
        for place in objects.places:
            here = objects.place == place
            row = redshift_row(scores, objects.group, here)
            found["redshift"].setdefault(place, {})[label] = row
            for line in LINES:
                error = objects.known[f"{line}_err"][here] if label == "real" else None
                given = (posterior[line][here], objects.known[line][here], error)
                entry = line_row(*given, objects.group[here], LEAST_EW)
                if place == "r = 19" and line in ("ew_halpha", "ew_oiii"):
                    for low, high in WIDTHS:
                        name = f"{low:g}-{high:g} Å" if np.isfinite(high) else f"over {low:g} Å"
                        part = found["widths"].setdefault(name, {})
                        row = line_row(*given, objects.group[here], low, high)
                        part.setdefault(line, {})[label] = row
                lines = found["lines"].setdefault(place, {}).setdefault(line, {})
                lines[label] = entry
    return found


def brown(folder: Path, model: Any, size: Size) -> dict[str, Any]:
    """Brown SEDs with GALEX, by magnitude and by the share of bands that was observed."""
    real, twin = brown_sets(folder, size.brown, size.brown_each)
    found = {"redshift": by_place(real, twin, model), "share": {}}
    scores = redshift_scores(answers(real, model, ("z",))["z"], real.z)
    much = real.known["measured"] >= SHARE
    for label, chosen in ((f"below {SHARE:.0%}", ~much), (f"{SHARE:.0%} and more", much)):
        for place in real.places:
            here = chosen & (real.place == place)
            row = redshift_row(scores, real.group, here)
            if row["n"]:
                row["mean z"] = float(np.mean(real.z[here]))
                found["share"].setdefault(place, {})[label] = row
    return found


def desi(folder: Path, model: Any, size: Size) -> dict[str, Any]:
    """The stack of DESI luminous red galaxies, and what is read of DESI QSO coadds."""
    sets = lrg_sets(folder, size.lrg, (20.0, 21.0), max(10, size.draws))
    return {"redshift": by_place(*sets, model), "coverage": desi_coverage(folder)}


def sdss(folder: Path, model: Any, size: Size) -> dict[str, Any]:
    """7,000 SDSS galaxies: redshifts with several band sets, ultraviolet from ugriz."""
    real, twin = (every(objects, size.sdss_step) for objects in sdss_sets(folder))
    found: dict[str, Any] = {"redshift": {}}
    for name, bands in BAND_SETS.items():
        for label, objects in (("real", real), ("simulated", twin)):
            part = objects.only(bands)
            scores = redshift_scores(answers(part, model, ("z",))["z"], part.z)
            row = redshift_row(scores, part.group)
            found["redshift"].setdefault(name, {})[label] = row
            if "GALEX" in name:
                seen = objects.observed[:, objects.bands.index("galex_nuv")]
                row = redshift_row(scores, part.group, seen)
                found["redshift"].setdefault(f"{name}, NUV detected", {})[label] = row
    found["colours"] = colours(real, twin)
    with contextlib.suppress(ImportError):  # scikit-learn, as for eazy-py
        found["trees"] = by_trees(real, twin)
    found["ultraviolet"] = ultraviolet(real, twin, model)
    return found


def vvds(folder: Path, model: Any, size: Size) -> dict[str, Any]:
    """VVDS galaxies: passbands that no training saw, by wavelength and width."""
    real, twin = (every(objects, size.sdss_step) for objects in vvds_sets(folder))
    return {"redshift": by_place(real, twin, model)}


def residual_part(folder: Path, model: Any, size: Size) -> dict[str, Any]:
    """Residual of the reconstruction of every band of every set, the redshift given."""
    draws, each = min(10, size.draws), min(8, size.brown_each)
    sets: dict[str, Callable[[], tuple[ObjectSet, ObjectSet]]] = {
        "SDSS and BOSS spectra, r = 19": lambda: spectra_sets(folder, (19.0,), draws),
        "Brown SEDs, r = 19": lambda: brown_sets(folder, (19.0,), each),
        "LRG stack, r = 20": lambda: lrg_sets(folder, size.lrg, (20.0,), 10),
        "SDSS galaxies": lambda: sdss_sets(folder),
        "VVDS": lambda: vvds_sets(folder),
    }
    found: dict[str, Any] = {}
    for name, make in sets.items():
        pair = make()
        step = -(-len(pair[0]) // size.residuals)
        real, twin = (residuals(every(objects, step), model) for objects in pair)
        found[name] = {"real": real, "simulated": twin, "summary": summary(real, twin)}
    return found


def eazy(folder: Path, model: Any, size: Size) -> dict[str, Any]:
    """eazy-py on the same rows, a few hundred of every set."""
    from real_rivals import compared, thinned

    vvds_real = vvds_sets(folder)[0]
    sets = {
        "SDSS and BOSS spectra": (spectra_sets(folder, (19.0, 21.0), 5)[0], size.eazy, "rSDSS"),
        "Brown SEDs": (brown_sets(folder, (19.0, 21.0, 22.0), 4)[0], size.eazy, "rSDSS"),
        "SDSS galaxies, ugriz + GALEX": (
            sdss_sets(folder)[0].only(BAND_SETS["ugriz + GALEX"]), 3 * size.eazy, "sdss_r"
        ),
        "VVDS": (vvds_real, size.eazy // 2, "cfhtls_r"),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as work:
        place = size.cache or Path(work)
        return {
            name: compared(folder, thinned(objects, each), reference, model, place)
            for name, (objects, each, reference) in sets.items()
        }


PARTS: dict[str, Callable[[Path, Any, Size], dict[str, Any]]] = {
    "spectra": spectra,
    "brown": brown,
    "desi": desi,
    "sdss": sdss,
    "vvds": vvds,
    "residuals": residual_part,
    "eazy": eazy,
}


def answers(objects: ObjectSet, model: Any, outputs: tuple[str, ...]) -> Any:
    """Posteriors of all rows."""
    return infer(objects.table(), model=model, survey=objects.survey(), outputs=outputs)


def by_place(real: ObjectSet, twin: ObjectSet, model: Any) -> dict[str, Mapping[str, Row]]:
    """Redshift scores of both, by place and together."""
    found: dict[str, dict[str, Row]] = {}
    for label, objects in (("real", real), ("simulated", twin)):
        scores = redshift_scores(answers(objects, model, ("z",))["z"], objects.z)
        for place in objects.places:
            row = redshift_row(scores, objects.group, objects.place == place)
            found.setdefault(place, {})[label] = row
        found.setdefault("all", {})[label] = redshift_row(scores, objects.group)
    return found


def every(objects: ObjectSet, step: int) -> ObjectSet:
    """Every `step`-th row."""
    return objects.rows(np.arange(0, len(objects), step))


if __name__ == "__main__":
    main()
