"""An ordered set of passbands."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.filters.passband import Passband

if TYPE_CHECKING:
    from os import PathLike
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["FilterSet"]


class FilterSet(Sequence[Passband]):
    """Passbands in a fixed order, found by name or position.

    Parameters
    ----------
    passbands : iterable of Passband
        Each with a name of its own.
    name : str
        Name of the set, for messages and `repr`.

    Raises
    ------
    InputError
        If a member is not a `Passband`, has no name, or repeats one.
    """

    def __init__(self, passbands: Iterable[Passband], name: str = "") -> None:
        members = tuple(passbands)
        by_name: dict[str, Passband] = {}
        for member in members:
            if not isinstance(member, Passband):
                raise InputError(
                    f"a FilterSet holds Passband objects, got {type(member).__name__}; "
                    "build them with Passband.from_arrays"
                )
            if not member.name:
                raise InputError("a passband in a FilterSet needs a name; this one has none")
            if member.name in by_name:
                raise InputError(
                    f"two passbands of the set are named {member.name!r}; rename one of them"
                )
            by_name[member.name] = member
        self._members = members
        self._by_name = by_name
        self.name = name

    @classmethod
    def from_files(
        cls,
        paths: str | PathLike[str] | Iterable[str | PathLike[str]],
        *,
        names: Sequence[str] | None = None,
        unit: str = "Angstrom",
        medium: str = "air",
        counting: str = "photon",
        column: int = 1,
        name: str = "",
    ) -> FilterSet:
        """Passbands from files, one curve each.

        Parameters
        ----------
        paths : path or iterable of path
            Text with two or more columns (wavelength, throughput; ``#`` comments), ECSV, VOTable
            or FITS table. gzip is read too.
        names : sequence of str, optional
            Names of the bands; by default the file names without extension.
        unit : str
            Unit of the wavelengths where the file does not say it.
        medium : {"air", "vacuum"}
            What the wavelengths refer to. Measured filter curves usually mean air, space
            missions vacuum; jpassed is in vacuum throughout.
        counting : {"photon", "energy"}
            See `Passband.from_arrays`.
        column : int
            Column of the throughput, counted from 0 (2 for J-PLUS files: with atmosphere).
        name : str
            Name of the set.

        Raises
        ------
        FileError
            If a file is missing or holds no curve.
        InputError
            If names and files differ in number, or a curve is unusable.
        """
        from jpassed.filters.curves import curve_name, read_curve

        sources = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
        labels = [curve_name(p) for p in sources] if names is None else [str(n) for n in names]
        if len(labels) != len(sources):
            raise InputError(f"{len(sources)} files need as many names; got {len(labels)}")
        members = []
        for label, path in zip(labels, sources, strict=True):
            wave, curve = read_curve(path, unit=unit, column=column)
            members.append(
                Passband.from_arrays(
                    label,
                    wave,
                    curve,
                    medium=medium,
                    counting=counting,
                    meta={"origin": str(path)},
                )
            )
        return cls(members, name=name)

    @classmethod
    def from_svo(
        cls,
        ids: str | Iterable[str] | None = None,
        *,
        facility: str | None = None,
        instrument: str | None = None,
        names: Sequence[str] | None = None,
        medium: str = "air",
        counting: str = "photon",
        cache: bool | str | Path = True,
        base_url: str | None = None,
        timeout: float = 30.0,
        name: str = "",
        progress: Callable[[int, int], None] | None = None,
    ) -> FilterSet:
        """Passbands from the Filter Profile Service of the Spanish Virtual Observatory.

        A curve is fetched once; afterwards it comes from the cache and no network is needed.
        Please cite Rodrigo & Solano (2020, XIV.0 SEA Meeting, 182) when using the service.

        Parameters
        ----------
        ids : str or iterable of str
            For example ``["OAJ/JPAS.J0378", "SLOAN/SDSS.u"]``.
        facility, instrument : str
            Instead of `ids`: all filters of a facility (``"OAJ"``) or of one of its instruments
            (``"JPAS"``), by increasing pivot; see `jpassed.filters.list_svo`.
        names : sequence of str, optional
            Names of the bands; by default the ids.
        medium : {"air", "vacuum"}
            What the wavelengths refer to: the service does not say. Give ``"vacuum"`` for
            space missions.
        counting : {"photon", "energy", "service"}
            What the curve is the response to. ``"service"`` follows the service's
            ``DetectorType``, which says "energy" for many photon-counting cameras as well.
        cache : bool or path
            True: a folder of astropy's cache. A path: that folder. False: always fetch.
        base_url : str, optional
            Address of the service; by default that in the environment variable
            ``JPASSED_SVO_URL``, else `jpassed.filters.svo.SVO_URL`.
        timeout : float
            Seconds to wait for the service.
        name : str
            Name of the set; by default the facility and instrument.
        progress : callable, optional
            Called with (curves there, curves in all).

        Raises
        ------
        UnknownNameError
            If the service does not know an id, the facility or the instrument.
        FileError
            If the service cannot be reached, or answers with something that is no curve.
        InputError
            If neither ids nor a facility are given, or both.
        """
        from jpassed.filters.svo import curve_of
        from jpassed.filters.svo_answers import SvoService
        from jpassed.filters.svo_index import fetch_curves

        if (ids is None) == (facility is None) or (ids is not None and instrument is not None):
            raise InputError(
                "from_svo takes either ids, e.g. ['OAJ/JPAS.J0378'], or facility=..., e.g. 'OAJ', "
                "with an instrument or without"
            )
        service = SvoService(base_url, cache, timeout)
        if facility is not None:
            curves = fetch_curves(facility, instrument, service, progress=progress)
            wanted = list(curves)
            name = name or (facility if instrument is None else f"{facility}/{instrument}")
        else:
            wanted = [ids] if isinstance(ids, str) else [str(i) for i in ids or ()]
            curves = {}
        labels = list(wanted) if names is None else [str(n) for n in names]
        if len(labels) != len(wanted):
            raise InputError(f"{len(wanted)} SVO ids need as many names; got {len(labels)}")
        members = []
        for done, (label, identifier) in enumerate(zip(labels, wanted, strict=True), start=1):
            curve = curves.get(identifier)
            if curve is None:
                curve = curve_of(identifier, service)
                if progress is not None:
                    progress(done, len(wanted))
            members.append(
                Passband.from_arrays(
                    label,
                    curve.wavelength,
                    curve.throughput,
                    medium=medium,
                    counting=curve.counting if counting == "service" else counting,
                    meta={"origin": curve.origin, "svo_id": identifier},
                )
            )
        return cls(members, name=name)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the bands, in order."""
        return tuple(self._by_name)

    @property
    def pivot(self) -> NDArray[np.float64]:
        """Pivot wavelengths in vacuum Å, shape (B,)."""
        return np.array([member.pivot_wavelength for member in self._members], dtype=np.float64)

    @property
    def width(self) -> NDArray[np.float64]:
        """Equivalent widths int T dlam / max T in Å, shape (B,)."""
        return np.array([member.equivalent_width for member in self._members], dtype=np.float64)

    def coverage(self, wmin: Any, wmax: Any) -> NDArray[np.float64]:
        """Fraction of each band's transmission between two wavelengths, shape (B,).

        Parameters
        ----------
        wmin, wmax : float or Quantity
            Vacuum wavelengths, Å.

        Returns
        -------
        ndarray (B,)
            From 0 to 1.
        """
        return np.array([member.coverage(wmin, wmax) for member in self._members])

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """Position of a band, given by name or as the passband itself.

        Parameters
        ----------
        value : str or Passband
        start, stop : int, optional
            As of a list.

        Returns
        -------
        int

        Raises
        ------
        UnknownNameError
            If the set has no such band.
        ValueError
            If the band is not between `start` and `stop`.
        """
        label = value.name if isinstance(value, Passband) else value
        if label not in self._by_name:
            raise UnknownNameError(self._what(), label, self.names)
        position = self.names.index(label, start, len(self) if stop is None else stop)
        return position

    def select(self, names: Iterable[str]) -> FilterSet:
        """The named bands as a new set, in the order of `names`.

        Raises
        ------
        UnknownNameError
            If a name is not in the set.
        InputError
            If `names` is one text.
        """
        if isinstance(names, str):
            raise InputError(f"select takes a list of band names; got the text {names!r}")
        return FilterSet([self[label] for label in names], name=self.name)

    @overload
    def __getitem__(self, key: str | int) -> Passband: ...

    @overload
    def __getitem__(self, key: slice) -> FilterSet: ...

    def __getitem__(self, key: str | int | slice) -> Passband | FilterSet:
        if isinstance(key, slice):
            return FilterSet(self._members[key], name=self.name)
        if isinstance(key, str):
            if key not in self._by_name:
                raise UnknownNameError(self._what(), key, self.names)
            return self._by_name[key]
        return self._members[key]

    def __contains__(self, item: object) -> bool:
        if isinstance(item, str):
            return item in self._by_name
        return any(item is member for member in self._members)

    def __iter__(self) -> Iterator[Passband]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __add__(self, other: object) -> FilterSet:
        if not isinstance(other, FilterSet):
            return NotImplemented
        joined = "+".join(label for label in (self.name, other.name) if label)
        return FilterSet([*self._members, *other._members], name=joined)

    def __repr__(self) -> str:
        label = f" {self.name!r}" if self.name else ""
        if not self._members:
            return f"<FilterSet{label}, no bands>"
        pivots = self.pivot
        return (
            f"<FilterSet{label}, {len(self)} bands {self.names[0]} ... {self.names[-1]}, "
            f"pivots {pivots.min():.0f}-{pivots.max():.0f} Å>"
        )

    def _what(self) -> str:
        return f"band of filter set {self.name!r}" if self.name else "band of this filter set"
