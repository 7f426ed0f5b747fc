"""What a training set is to be made of: a YAML file, or one of the shipped presets."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from jpassed.archives.checksums import sha256_of
from jpassed.archives.description import Archive, without_login
from jpassed.archives.description_file import load_archive, parse_spectra
from jpassed.exceptions import FileError, InputError, UnknownNameError
from jpassed.filters import load_filters
from jpassed.jspectrum import load_noise
from jpassed.surveys.survey_file import as_number, as_texts, check_keys, read_yaml
from jpassed.vocabulary import load_vocabulary

__all__ = ["Choice", "FetchPlan", "list_presets", "load_plan"]


@dataclass(frozen=True)
class Choice:
    """An archive of a plan.

    Attributes
    ----------
    archive : Archive
        With the plan's own selection and spectra, if it has any.
    limit : int or None
        At most so many objects of it.
    """

    archive: Archive
    limit: int | None


@dataclass(frozen=True)
class FetchPlan:
    """Everything that a training set depends on.

    Attributes
    ----------
    name : str
    choices : tuple of Choice
    seed : int
        Of the noise; each object has draws of its own.
    filters : tuple of str
        Filter sets of the synthetic photometry.
    noise : str or None
        Noise presets of their bands, joined with ``+``; None adds no noise.
    crossmatch : tuple of dict
        Tables of `jpassed.vo.matching` whose bands are joined by position: name, survey, service,
        radius, coverage.
    redshift : tuple of float
        Objects with a safe redshift outside are left out.
    require_ebv : bool
        Whether spectra without E(B-V) are left out.
    min_coverage, max_gap : float
        See `jpassed.jspectrum.SyntheticPhotometry`.
    shard_rows, page_rows : int
        Objects of a shard, rows of a query's page.
    """

    name: str
    choices: tuple[Choice, ...]
    seed: int = 1
    filters: tuple[str, ...] = ("jpas",)
    noise: str | None = "minijpas-v1"
    crossmatch: tuple[Mapping[str, Any], ...] = ()
    redshift: tuple[float, float] = (0.0, 1.2)
    require_ebv: bool = True
    min_coverage: float = 0.99
    max_gap: float = 0.05
    shard_rows: int = 4096
    page_rows: int = 10000

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands of the synthetic photometry."""
        return tuple(dict.fromkeys(b.name for name in self.filters for b in load_filters(name)))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as in the file; archives with all that their files say but logins."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        plain["archives"] = [
            {**_finite(asdict(c.archive)), "limit": c.limit} for c in plain.pop("choices")
        ]
        plain["noise_digest"] = None if self.noise is None else load_noise(self.noise).digest
        plain["vocabulary"] = load_vocabulary().digest
        plain["coverage"] = _files_of_coverage(self.crossmatch)
        written = without_login(json.dumps(plain, default=list))
        return json.loads(written)  # type: ignore[no-any-return]

    @property
    def digest(self) -> str:
        """SHA-256 of everything that the training set depends on."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()


def _finite(value: Any) -> Any:
    """Infinite numbers, which JSON has not, as text."""
    if isinstance(value, Mapping):
        return {str(key): _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def _files_of_coverage(matches: tuple[Mapping[str, Any], ...]) -> dict[str, str]:
    """Checksums of the files that say where a survey has looked."""
    given = [entry.get("coverage") for entry in matches]
    names = [n for c in given for n in (c.values() if isinstance(c, Mapping) else [c])]
    return {n: sha256_of(Path(n)) for n in names if isinstance(n, str) and Path(n).is_file()}


def list_presets() -> tuple[str, ...]:
    """Names of the shipped plans.

    Returns
    -------
    tuple of str
    """
    folder = files("jpassed.archives") / "data" / "presets"
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".yaml")))


def load_plan(
    plan: str | os.PathLike[str] | Mapping[str, Any] | FetchPlan, *, limit: int | None = None
) -> FetchPlan:
    """A plan by the name of a preset, from a YAML file, or from its content.

    Parameters
    ----------
    plan : str, path, mapping or FetchPlan
    limit : int, optional
        At most so many objects of every archive; a smaller limit of the plan stays.

    Returns
    -------
    FetchPlan

    Raises
    ------
    UnknownNameError
        For a name that is no preset, an unknown archive, filter set or noise preset.
    FileError
        If the file cannot be read.
    InputError
        If it makes no sense.
    """
    if isinstance(plan, FetchPlan):
        return plan if limit is None else replace(plan, choices=_limited(plan.choices, limit))
    folder = Path()
    if isinstance(plan, Mapping):
        content, where = plan, "plan"
    else:
        where = os.fspath(plan)
        content, folder = _content(where)
    return _parse(content, where, folder, limit)


def _limited(choices: tuple[Choice, ...], limit: int) -> tuple[Choice, ...]:
    return tuple(
        replace(c, limit=limit if c.limit is None else min(c.limit, limit)) for c in choices
    )


def _content(where: str) -> tuple[Any, Path]:
    if where in list_presets():
        shipped = files("jpassed.archives") / "data" / "presets" / f"{where}.yaml"
        return read_yaml(shipped.read_text("utf-8"), where), Path()
    path = Path(where)
    if path.suffix.lower() not in (".yaml", ".yml"):
        raise UnknownNameError("plan", where, [*list_presets(), "or a YAML file"])
    try:
        return read_yaml(path.read_text("utf-8"), where), path.parent
    except (OSError, UnicodeDecodeError) as exc:
        raise FileError(f"cannot read the plan {path}: {exc}") from None


_KEYS = (
    "name", "archives", "seed", "filters", "noise", "crossmatch", "redshift", "require_ebv",
    "min_coverage", "max_gap", "shard_rows", "page_rows",
)  # fmt: skip


def _parse(content: Any, where: str, folder: Path, limit: int | None) -> FetchPlan:
    found = dict(check_keys(content, _KEYS, where))
    entries = found.pop("archives", None)
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{where}: 'archives' must be a list of at least one archive")
    if limit is not None and limit < 1:
        raise InputError(f"limit: expected a positive whole number, got {limit}")
    choices = tuple(_choice(e, f"{where}, archives", folder, limit) for e in entries)
    names = [c.archive.name for c in choices]
    if len(set(names)) != len(names):
        raise InputError(f"{where}: archives of one name: {', '.join(names)}")
    chosen: dict[str, Any] = {"name": str(found.pop("name", Path(where).stem))}
    for key in ("seed", "shard_rows", "page_rows"):
        if key in found:
            number = found.pop(key)
            low = 0 if key == "seed" else 1
            if isinstance(number, bool) or not isinstance(number, int) or number < low:
                raise InputError(f"{where}, {key}: expected a whole number, got {number!r}")
            chosen[key] = number
    for key in ("min_coverage", "max_gap"):
        if key in found:
            chosen[key] = as_number(found.pop(key), f"{where}, {key}")
    if "filters" in found:
        chosen["filters"] = as_texts(found.pop("filters"), f"{where}, filters")
    if "redshift" in found:
        pair = tuple(as_number(v, f"{where}, redshift") for v in found.pop("redshift"))
        if len(pair) != 2 or not pair[0] < pair[1]:
            raise InputError(f"{where}, redshift: expected [lowest, highest], got {pair}")
        chosen["redshift"] = pair
    matches = found.pop("crossmatch", None) or []
    matches = matches if isinstance(matches, list) else [matches]
    chosen["crossmatch"] = tuple(_match(m, f"{where}, crossmatch") for m in matches)
    plan = FetchPlan(choices=choices, **chosen, **found)
    _check_bands(plan, where)
    return plan


def _choice(entry: Any, where: str, folder: Path, limit: int | None) -> Choice:
    block = {"archive": entry} if isinstance(entry, str) else entry
    keys = ("archive", "service", "where", "without", "limit", "spectra", "union")
    found = check_keys(block, keys, where)
    name = str(found.get("archive", ""))
    path = folder / name
    archive = load_archive(path if path.is_file() else name)
    other: dict[str, Any] = {}
    if "service" in found:
        other["service"] = str(found["service"])
    if "spectra" in found:
        spectra = found["spectra"]
        # Without spectra there are labels and catalogue photometry only.
        other["spectra"] = parse_spectra(spectra, f"{where}, spectra") if spectra else None
    archive = archive.changed(
        where=str(found["where"] or "") if "where" in found else None,
        without=as_texts(found.get("without"), f"{where}, without"),
        # A selection of one's own is of all objects, unless it is said otherwise.
        union=bool(found.get("union", "where" not in found)),
        **other,
    )
    own = found.get("limit")
    if own is not None and (isinstance(own, bool) or not isinstance(own, int) or own < 1):
        raise InputError(f"{where}, limit: expected a positive whole number, got {own!r}")
    limits = [n for n in (own, limit) if n is not None]
    return Choice(archive, min(limits) if limits else None)


def _match(entry: Any, where: str) -> Mapping[str, Any]:
    block = {"name": entry} if isinstance(entry, str) else entry
    found = check_keys(block, ("name", "survey", "service", "radius", "coverage"), where)
    if not found.get("name") and isinstance(found.get("survey"), str):
        found = {**found, "name": found["survey"]}  # of one name, as GALEX is
    if not isinstance(found.get("name"), str):
        raise InputError(f"{where}: 'name' is missing, e.g. {{name: galex}}")
    return {"survey": found["name"], **found}


def _check_bands(plan: FetchPlan, where: str) -> None:
    """Every synthetic band needs the noise of its survey."""
    bands = plan.bands
    if plan.noise is None:
        return
    lacking = [b for b in bands if b not in load_noise(plan.noise).bands]
    if lacking:
        raise InputError(
            f"{where}: the noise preset {plan.noise!r} lacks {', '.join(lacking)}; join presets "
            "with '+', leave out the filter set, or write noise: null"
        )
