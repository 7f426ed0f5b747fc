"""Noise presets: error models kept as ECSV files with a hash, by name or by path.

The law itself is `jpassed.jspectrum.noise_law.ErrorModel`; `jpassed.jspectrum.noise_fit` fits one
to a survey's own table.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from jpassed.exceptions import FileError, UnknownNameError
from jpassed.jspectrum.noise_law import BAND_COLUMNS, FORMAT, ErrorModel

__all__ = ["ErrorModel", "list_noise", "load_noise", "read_noise", "write_noise"]

_PRESETS = Path(__file__).parent / "data" / "noise"


def write_noise(
    model: ErrorModel, path: str | os.PathLike[str], *, overwrite: bool = False
) -> None:
    """Write an error model as an ECSV preset file, atomically, with its digest in the header.

    Raises
    ------
    FileError
        The file exists and `overwrite` is false, or the folder cannot be written.
    """
    from astropy.table import Table

    target = Path(path)
    if target.exists() and not overwrite:
        raise FileError(f"{target} exists; pass overwrite=True to replace it")
    table = Table({"band": list(model.bands)})
    for t, row in enumerate(model.depth5):
        table[f"depth5_{t + 1}"] = row
        table[f"depth5_{t + 1}"].unit = "mag"
        table[f"depth5_{t + 1}"].description = "5-sigma depth in the reference aperture, AB"
    for key, (unit, description) in BAND_COLUMNS.items():
        table[key] = getattr(model, key)
        table[key].unit = unit or None
        table[key].description = description
    table.meta = {
        **model.meta,
        "name": model.name,
        "format": FORMAT,
        "aperture_scatter": float(model.aperture_scatter),
        "digest": model.digest,
    }
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        table.write(temporary, format="ascii.ecsv")
        os.replace(temporary, target)
    except OSError as error:
        raise FileError(f"cannot write the noise preset {target}: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def read_noise(path: str | os.PathLike[str]) -> ErrorModel:
    """Read a preset file and check its digest.

    Raises
    ------
    FileError
        Missing, not a preset, or its numbers do not belong to its digest.
    """
    from astropy.table import Table

    if not Path(path).is_file():
        raise FileError(f"noise preset file {os.fspath(path)!r} does not exist")
    try:
        table = Table.read(path, format="ascii.ecsv")
        meta = dict(table.meta)
        depths = [c for c in table.colnames if c.startswith("depth5_")]
        stated, version = meta.pop("digest", None), meta.pop("format", FORMAT)
        scatter, name = float(meta.pop("aperture_scatter", 0.0)), str(meta.pop("name", "custom"))
        model = ErrorModel(
            bands=tuple(table["band"]),
            depth5=np.array([np.asarray(table[c], dtype=np.float64) for c in depths]),
            aperture_scatter=scatter,
            name=name,
            meta=meta,
            **{key: np.asarray(table[key], dtype=np.float64) for key in BAND_COLUMNS},
        )
    except (KeyError, ValueError, TypeError, OSError) as error:
        raise FileError(f"{os.fspath(path)!r} is not a noise preset: {error}") from error
    if version != FORMAT:
        raise FileError(
            f"{os.fspath(path)!r} is a noise preset of format {version}; this version of jpassed "
            f"reads format {FORMAT}"
        )
    if stated is not None and stated != model.digest:
        raise FileError(
            f"the numbers of {os.fspath(path)!r} do not match its digest {str(stated)[:12]}: the "
            "file was changed after it was frozen. Remove the digest to read it as a new preset"
        )
    return model


def list_noise() -> list[str]:
    """Names of the embedded noise presets.

    Returns
    -------
    list of str
    """
    return sorted(p.stem for p in _PRESETS.glob("*.ecsv"))


def load_noise(name: str | os.PathLike[str] | ErrorModel) -> ErrorModel:
    """Noise preset by name, by path, or several names joined with ``+``.

    Parameters
    ----------
    name : str, path or ErrorModel
        ``"minijpas-v1"``; ``"minijpas-v1+galex-ais"`` adds presets; a text that ends in
        ``.ecsv`` or contains a path separator is a file. An ErrorModel is returned as it is.

    Returns
    -------
    ErrorModel

    Raises
    ------
    UnknownNameError
        For an unknown name; lists the presets.
    FileError
        For a missing or damaged file.
    """
    if isinstance(name, ErrorModel):
        return name
    text = os.fspath(name)
    if text.endswith(".ecsv") or os.sep in text:
        return read_noise(text)
    models = []
    for part in (p.strip() for p in text.split("+")):
        if part not in list_noise():
            raise UnknownNameError("noise preset", part, list_noise())
        models.append(read_noise(_PRESETS / f"{part}.ecsv"))
    total = models[0]
    for model in models[1:]:
        total = total + model
    return total
