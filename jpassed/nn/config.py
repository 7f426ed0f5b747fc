"""Configuration of a model: everything that is needed to build it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from jpassed.exceptions import InputError, UnknownNameError
from jpassed.extensions import extension_names

__all__ = ["ModelConfig"]

HEADS = ("gaussian", "student-t", "mixture", "flow", "binned")


@dataclass(frozen=True)
class ModelConfig:
    """Shape of an `SEDModel`.

    Attributes
    ----------
    patch_bands : tuple of str
        Bands that share the patch token, in the order of its values; may be empty, then every
        band is a token of its own (the published form).
    patch_width, patch_blocks : int
        Width and number of the residual blocks that read the patch.
    patch_tokens : int
        Context tokens that the patch becomes; 0 (without `patch_bands`) makes a training give
        every band a token of its own.
    contrast_bands : int
        The first so many patch bands are neighbours in wavelength, and their contrast against
        each other is an input of its own; 0 for none.
    fill_missing : bool
        Missing patch bands get the mean of the observed ones nearby, told apart by their
        presence; needs `patch_pivots`.
    patch_pivots : tuple of float
        Pivot wavelengths (Å) of the patch bands, where they are needed.
    width, heads, blocks, decoder_blocks : int
        The trunk over all context tokens, and the decoder.
    dense_readout : bool
        The heads read the vector of the whole patch beside that of the decoder, and requests start
        from it: the patch's few tokens are no bottleneck. See `jpassed.nn.dense`.
    readout_kernels : int
        Kernels of the `LocalReadout` of requested passbands; 0 for none.
    rest_frame : bool
        Where the redshift is in the context, requests of bandfluxes know their wavelength in the
        rest frame, too, and the local readout serves lines where they are observed.
    expansion : float
        Hidden width of the feed-forward layers over `width`.
    frequencies : int
        Frequencies of the Fourier encodings.
    head_real, head_redshift : {"gaussian", "student-t", "mixture", "flow", "binned"}
        Form of the posterior of each support; "binned" is for redshift alone, which otherwise
        has the form of the others. Or the name of a head that was added: see
        `jpassed.extensions`.
    components : int
        Components of a mixture.
    flow_bins : int
        Bins of the spline of a flow.
    redshift_max : float
        Upper edge of the binned redshift head.
    redshift_bin : float
        Bin width in ln(1+z).
    """

    patch_bands: tuple[str, ...] = ()
    patch_width: int = 640
    patch_blocks: int = 5
    patch_tokens: int = 4
    contrast_bands: int = 0
    fill_missing: bool = False
    patch_pivots: tuple[float, ...] = ()
    width: int = 192
    heads: int = 6
    blocks: int = 2
    decoder_blocks: int = 1
    dense_readout: bool = False
    readout_kernels: int = 0
    rest_frame: bool = False
    expansion: float = 2.0
    frequencies: int = 16
    head_real: str = "mixture"
    head_redshift: str = "binned"
    components: int = 5
    flow_bins: int = 8
    redshift_max: float = 1.25
    redshift_bin: float = 0.001

    def __post_init__(self) -> None:
        for name in ("head_real", "head_redshift"):
            form = getattr(self, name)
            if form not in HEADS and form not in (added := extension_names("head")):
                raise UnknownNameError(name, form, (*HEADS, *added))
        if self.head_real == "binned":
            raise InputError("head_real: 'binned' is for redshift; choose 'gaussian' or 'mixture'")
        if self.head_redshift not in ("binned", self.head_real):
            raise InputError(
                f"head_redshift: expected 'binned' or that of the other kinds "
                f"({self.head_real!r}), got {self.head_redshift!r}"
            )
        if self.patch_bands and not 0 <= self.contrast_bands <= len(self.patch_bands):
            raise InputError(
                f"contrast_bands: expected 0 to {len(self.patch_bands)}, the number of patch "
                f"bands, got {self.contrast_bands}"
            )
        if self.fill_missing and len(self.patch_pivots) != len(self.patch_bands):
            raise InputError(
                f"patch_pivots: expected {len(self.patch_bands)} wavelengths, one a patch band, "
                f"for fill_missing, got {len(self.patch_pivots)}"
            )
        if self.dense_readout and not (self.patch_bands or self.patch_tokens):
            raise InputError("dense_readout: expected patch bands, whose vector the heads read")
        if self.patch_bands and self.patch_tokens < 1:
            raise InputError(f"patch_tokens: expected 1 or more, got {self.patch_tokens}")
        for name in (
            "width", "heads", "frequencies", "components", "flow_bins", "redshift_bin",
            "redshift_max",
        ):  # fmt: skip
            if getattr(self, name) <= 0:
                raise InputError(f"{name}: expected a positive number, got {getattr(self, name)}")
        if self.width % self.heads:
            raise InputError(f"width {self.width} is not a multiple of heads {self.heads}")

    @property
    def head_width(self) -> int:
        """Width of the vectors that the heads read."""
        return self.patch_width if self.dense_readout else self.width

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON and YAML."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Read plain values; unknown keys are refused.

        Parameters
        ----------
        values : mapping
            Attributes of the configuration.

        Raises
        ------
        UnknownNameError
            For a key that is no attribute.
        InputError
            For values that make no network.
        """
        known = {f.name for f in fields(cls)}
        for key in values:
            if key not in known:
                raise UnknownNameError("model setting", key, known)
        chosen: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return cls(**chosen)
