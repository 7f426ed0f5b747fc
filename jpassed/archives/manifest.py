"""The manifest of a training set: what it is made of, and the checksums of its shards."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jpassed.archives.checksums import sha256_of
from jpassed.archives.row_table import LABEL_PREFIX
from jpassed.exceptions import FileError
from jpassed.vocabulary import load_vocabulary

__all__ = ["FORMAT", "MANIFEST", "TrainingSet", "is_training_set", "read_training_set"]

FORMAT = 1
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class TrainingSet:
    """A folder of shards with its manifest.

    Attributes
    ----------
    folder : Path
    manifest : mapping
    """

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def rows(self) -> int:
        """Rows of all shards."""
        return sum(int(shard["rows"]) for shard in self.manifest["shards"])

    @property
    def labels(self) -> tuple[str, ...]:
        """Quantities that it has labels of, with their errors."""
        return tuple(self.manifest["labels"])

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands that some object was observed in."""
        return tuple(self.manifest["bands"])

    def label_columns(self, quantity: str) -> tuple[str, str]:
        """Columns of a label and of its error.

        Parameters
        ----------
        quantity : str

        Returns
        -------
        value, error : str
        """
        column = f"{LABEL_PREFIX}{quantity}"
        return column, f"{column}_err"

    def shards(self) -> list[Path]:
        """The shards, in order.

        Raises
        ------
        FileError
            If one is missing, or is not the one that was written.
        """
        paths = []
        for shard in self.manifest["shards"]:
            path = self.folder / shard["path"]
            if not path.is_file():
                raise FileError(f"{path} is missing: run jpassed fetch again to make it anew")
            if sha256_of(path) != shard["sha256"]:
                raise FileError(
                    f"{path} is not the file that was written (its SHA-256 differs from the "
                    "manifest's): run jpassed fetch again to make it anew"
                )
            paths.append(path)
        return paths


def is_training_set(path: str | Path) -> bool:
    """Whether a path is a folder that `jpassed fetch` writes to, finished or not."""
    folder = Path(path)
    return (folder / MANIFEST).is_file() or (folder / "plan.json").is_file()


def read_training_set(path: str | Path) -> TrainingSet:
    """Read the manifest of a training set.

    Parameters
    ----------
    path : str or Path
        Folder of the training set, or its manifest.

    Returns
    -------
    TrainingSet

    Raises
    ------
    FileError
        If it is not one, is not finished, or was made with another vocabulary or by another
        format of manifest.
    """
    folder = Path(path)
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
        version, vocabulary = manifest["format"], manifest["vocabulary"]
    except FileNotFoundError:
        raise FileError(
            f"{folder} holds no finished training set (no {MANIFEST}): run jpassed fetch again, "
            "it goes on where it stopped"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise FileError(f"{folder / MANIFEST} is damaged: {exc}") from None
    if version != FORMAT:
        raise FileError(
            f"{folder} is a training set of format {version}; this jpassed reads format {FORMAT}"
        )
    if vocabulary != load_vocabulary().digest:
        raise FileError(
            f"{folder} was made with another vocabulary ({vocabulary}, now "
            f"{load_vocabulary().digest}): its labels may mean something else. Make it anew with "
            "jpassed fetch --overwrite (spectra are not fetched again)"
        )
    return TrainingSet(folder, manifest)
