"""Archive descriptions and plans for the loopback server's tables of real spectra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

LINES = {
    "ew_oii": ["[O_II] 3725", "[O_II] 3727"],
    "ew_hbeta": ["H_beta"],
    "ew_oiii": ["[O_III] 5007"],
    "ew_halpha": ["H_alpha"],
    "ew_nii": ["[N_II] 6583"],
    "ew_sii": ["[S_II] 6716", "[S_II] 6730"],
}
PHOTOMETRY = [
    f"{kind}_{band}" for kind in ("cmodelmag", "cmodelmagerr", "extinction") for band in "ugriz"
]

ADDRESSES = {
    "table": "spectra.ssa", "key": "object_id", "columns": ["accref", "datalink", "ssa_targname"]
}  # fmt: skip

SDSS: dict[str, Any] = {
    "name": "sdss-loopback",
    "service": "loopback",
    "objects": {
        "table": "sdss_dr17.specobj", "key": "specobjid", "ra": "ra", "dec": "dec",
        "class": "class", "where": "class = 'GALAXY'",
        "labels": {"z": {
            "value": "z", "error": "zerr", "flags": {"column": "zwarning", "usable": 16},
            "provenance": "SDSS pipeline",
        }},
    },
    "spectra": {"kind": "column", "column": "accref"},
    "tables": {
        "addresses": ADDRESSES,
        "photometry": {
            "table": "sdss_dr17.photoplate", "key": "specobjid",
            "ebv": "extinction_r", "ebv_scale": 0.3764,
            "total": {"band": "sdss_r", "column": "cmodelmag_r", "unit": "mag(AB)"},
            "photometry": {"survey": "sdss", "columns": PHOTOMETRY},
        },
        "lines": {
            "table": "sdss_dr17.emission", "key": "specobjid", "line": "line",
            "each": {"value": "ew", "error": "ew_err", "frame": "observed",
                     "provenance": "SDSS pipeline, fibre"},
            "labels": {q: {"rows": rows} for q, rows in LINES.items()},
        },
        "masses": {
            "table": "vac.labels", "key": "specobjid", "adds_objects": True,
            "ra": "ra", "dec": "dec",
            "labels": {
                "logmstar": {"value": "logmstar", "error": "logmstar_err",
                             "provenance": "made up, Chabrier IMF"},
                "logsfr": {"value": "logsfr", "error": "logsfr_err", "provenance": "made up"},
            },
        },
    },
}  # fmt: skip

DESI: dict[str, Any] = {
    "name": "desi-loopback",
    "service": "loopback",
    "objects": {
        "table": "desi_dr1.zpix", "key": "targetid", "ra": "mean_fiber_ra",
        "dec": "mean_fiber_dec", "class": "spectype",
        "labels": {"z": {"value": "z", "error": "zerr", "flags": {"column": "zwarn"}}},
    },
    "spectra": {"kind": "column", "column": "accref"},
    "tables": {"addresses": ADDRESSES},
}  # fmt: skip


def write_plan(folder: Path, *archives: dict[str, Any], **settings: Any) -> Path:
    """Write archive descriptions and a plan; ``_plan`` holds what the plan says of an archive."""
    entries = []
    for archive in archives:
        block = {k: v for k, v in archive.items() if k != "_plan"}
        path = folder / f"{archive['name']}.yaml"
        path.write_text(yaml.safe_dump(block, sort_keys=False))
        entries.append({"archive": path.name, **archive.get("_plan", {})})
    plan = folder / "plan.yaml"
    plan.write_text(yaml.safe_dump({"name": "loopback", "archives": entries, **settings}))
    return plan
