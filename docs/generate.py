"""Pages whose text is in the package already: quantities, surveys, presets, flags."""

from __future__ import annotations

import json
import re
from pathlib import Path

from jpassed.annotation import FLAGS, load_derived
from jpassed.jspectrum import list_noise, load_noise
from jpassed.surveys import list_surveys, load_survey
from jpassed.vocabulary import load_vocabulary
from jpassed.weights import find_model, list_models


def quantities() -> str:
    """A table of the kinds: name, unit, UCD and what each is."""
    rows = ["| quantity | unit | UCD | what it is |", "|---|---|---|---|"]
    vocabulary = load_vocabulary()
    for name in vocabulary.names:
        kind = vocabulary[name]
        shown = f"{name}:BAND" if name == "flux" else name
        text = f"{kind.description} ({kind.reference})".replace("|", "\\|").replace("*", "\\*")
        rows.append(f"| `{shown}` | {kind.unit or '-'} | `{kind.ucd}` | {text} |")
    return "\n".join(rows) + "\n"


def derived() -> str:
    """A table of the quantities that are computed from joint draws."""
    rows = ["| quantity | unit | UCD | made of | what it is |", "|---|---|---|---|---|"]
    for name, entry in load_derived().items():
        text = f"{entry.description} ({entry.reference})".replace("|", "\\|").replace("*", "\\*")
        made = ", ".join(f"`{q}`" for q in entry.needs)
        rows.append(f"| `{name}` | {entry.unit or '-'} | `{entry.ucd}` | {made} | {text} |")
    return "\n".join(rows) + "\n"


def flags() -> str:
    """A table of the bits of ``jp_flag``."""
    rows = ["| bit | name | meaning |", "|---|---|---|"]
    rows += [f"| {int(bit)} | `{bit.name}` | {meaning} |" for bit, meaning in FLAGS.items()]
    return "\n".join(rows) + "\n"


def surveys() -> str:
    """A table of the surveys whose columns are recognised."""
    rows = ["| survey | columns | reference |", "|---|---|---|"]
    for name in list_surveys():
        survey = load_survey(name)
        rows.append(f"| `{name}` | {survey.description} | {survey.reference} |")
    return "\n".join(rows) + "\n"


def noise_presets() -> str:
    """A table of the embedded presets of the error model."""
    rows = ["| preset | bands | tiles | digest | reference |", "|---|---|---|---|---|"]
    for name in list_noise():
        noise = load_noise(name)
        about = f"{len(noise.bands)} | {noise.n_tiles} | `{noise.digest[:12]}`"
        rows.append(f"| `{name}` | {about} | {noise.meta.get('reference', '')} |")
    return "\n".join(rows) + "\n"


def model_card() -> str:
    """The card of the embedded model: its text where there is one, else what was recorded."""
    if "default" not in list_models():
        return "# The default model\n\nThis build has no embedded model.\n"
    for text in sorted(find_model("default").glob("*.md")):
        # Where the card lies, pages are paths; here they are links.
        card = text.read_text(encoding="utf-8")
        return re.sub(r"\bdocs/([\w/]+)\.md\b", r"[\1](\1.md)", card)
    card = json.dumps(list_models()["default"], indent=2)
    return f"# The default model\n\nWhat was recorded with it:\n\n```json\n{card}\n```\n"


def write_pages(folder: Path) -> None:
    """Write the pages to ``folder``; other pages include them."""
    folder.mkdir(exist_ok=True)
    for page in (derived, flags, model_card, noise_presets, quantities, surveys):
        (folder / f"{page.__name__}.md").write_text(page(), encoding="utf-8")
