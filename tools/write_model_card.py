"""Write MODEL_CARD.md of a model from its record and from the figures of benchmarks/accuracy.py.

    PYTHONPATH=. python tools/write_model_card.py jpassed/weights/default accuracy.json

The words are in tools/model_card_words.md; the tables are made here.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

LINES = {"ew_oii", "ew_hbeta", "ew_oiii", "ew_halpha", "ew_nii", "ew_sii"}


def main() -> None:
    """Read, fill in, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("figures", type=Path)
    parser.add_argument("--words", type=Path, default=Path(__file__).parent / "model_card_words.md")
    options = parser.parse_args()
    card = json.loads((options.model / "model.json").read_text("utf-8"))
    figures = json.loads(options.figures.read_text("utf-8"))
    text = options.words.read_text("utf-8")
    tables = {
        "RECORD": record(card),
        "REDSHIFT": redshift(figures["simulated"]["redshift"]),
        "LABELS": labels(figures["simulated"]["labels"]),
        "MISSING": missing(figures["missing bands"]),
        "REAL": real(figures["real spectra"]),
        "WIDTHS": widths(figures["real spectra"]["ew_halpha"]),
        "BROWN": brown(figures["brown"]),
    }
    for name, table in tables.items():
        text = text.replace(f"<!-- {name} -->", table)
    (options.model / "MODEL_CARD.md").write_text(text, "utf-8")


def rows(head: list[str], body: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(share: float) -> str:
    """A share in per cent."""
    return f"{100 * share:.1f} %"


def named(digests: dict[str, str]) -> str:
    """Names with their digests."""
    return ", ".join(f"{name} `{digest}`" for name, digest in digests.items())


def record(card: dict[str, Any]) -> str:
    """What was recorded with the weights."""
    return rows(
        ["what", "record"],
        [
            ["parameters", f"{card['parameters']:,}, kept as float16"],
            ["weights (SHA-256)", f"`{card['sha256'][:16]}`"],
            ["vocabulary", f"`{card['vocabulary']}`"],
            ["noise presets", named(card["provenance"]["noise"])],
            ["files", named(card["provenance"]["files"])],
            ["steps, objects", f"{card['steps']:,}, {card['objects']:,} with fresh noise"],
            ["time", f"{card['seconds'] / 60:.0f} minutes on two shared CPU cores, bfloat16"],
            ["figures below", "`python benchmarks/accuracy.py FOLDER --n 20000`"],
        ],
    )


def redshift(bins: dict[str, Any]) -> str:
    """Simulated galaxies by magnitude."""
    body = [
        [k, f"{v['n']}", f"{v['sigma_nmad']:.4f}", f"{v['bias']:+.4f}", percent(v["outliers_0.05"])]
        for k, v in bins.items()
    ]
    return rows(["noisy r", "n", "sigma_NMAD", "bias", "beyond 0.05(1+z)"], body)


def labels(entries: dict[str, Any]) -> str:
    """Every label: scatter and coverage."""
    body = [
        [
            f"`{k}`",
            f"{v['n']:.0f}",
            f"{v['bias']:+.3f}",
            f"{v['scatter']:.3f}",
            f"{v['sigma']:.3f}",
            f"{100 * v['coverage_68']:.1f}",
            f"{100 * v['coverage_95']:.1f}",
        ]
        for k, v in entries.items()
    ]
    head = ["quantity", "n", "bias", "scatter", "stated", "68 % holds", "95 % holds"]
    return rows(head, body)


def missing(entries: dict[str, Any]) -> str:
    """Fewer and fewer bands."""
    body = [
        [k, f"{v['sigma_nmad']:.4f}", f"{v['median half 16-84']:.4f}"] for k, v in entries.items()
    ]
    return rows(["bands", "sigma_NMAD", "median stated error of z"], body)


def real(entry: dict[str, Any]) -> str:
    """Real spectra."""
    low, high = entry["within 0.01(1+z) interval"]
    a, b = entry["median |dz|/(1+z) interval"]
    body = [
        [
            "draws within 0.01(1+z)",
            f"{percent(entry['within 0.01(1+z)'])} ({percent(low)} to {percent(high)})",
        ],
        ["median of abs(dz)/(1+z)", f"{entry['median |dz|/(1+z)']:.4f} ({a:.4f}-{b:.4f})"],
        ["68 and 95 % intervals hold", " and ".join(f"{100 * c:.0f} %" for c in entry["coverage"])],
    ]
    for name, part in entry.items():
        if name.startswith("S/N"):
            text = (
                f"{100 * part['within 0.01']:.1f} % within 0.01(1+z), median "
                f"{part['median |dz|/(1+z)']:.4f}"
            )
            body.append([f"spectrum's own {name} ({part['spectra']})", text])
    return rows(["17 spectra of 16 galaxies, 50 draws", "figure (68 % bootstrap by galaxy)"], body)


def widths(entry: dict[str, Any]) -> str:
    """EW(Halpha) of each object."""
    low, high = entry["rms interval"]
    body = [[name, f"{pair[0]:.1f}", f"{pair[1]:.1f}"] for name, pair in entry["by object"].items()]
    table = rows(["object", "SDSS pipeline, Å", "median of the draws, Å"], body)
    return (
        f"Scatter over all draws {entry['scatter dex (rms)']:.3f} dex rms (68 % bootstrap by "
        f"galaxy {low:.3f}-{high:.3f}), 1.4826 MAD "
        f"{entry['scatter dex (1.4826 MAD)']:.3f} dex, median offset "
        f"{entry['bias dex']:+.3f} dex.\n\n{table}"
    )


def brown(entries: dict[str, Any]) -> str:
    """Brown SEDs."""
    body = [
        [
            k,
            f"{v['sigma_nmad']:.4f}",
            f"{v['bias']:+.4f}",
            percent(v["outliers_0.05"]),
            percent(v["coverage_68"]),
        ]
        for k, v in entries.items()
    ]
    head = ["magnitude", "sigma_NMAD", "bias", "beyond 0.05(1+z)", "68 % interval holds"]
    return rows(head, body)


if __name__ == "__main__":
    main()
