"""How Sphinx builds the guide: ``make docs``.

The site asks for nothing outside itself: maths is MathML, figures are inline SVG, and the fonts are
the reader's. Pages are executed, and what they gave is kept in ``build`` for as long as no file of
the library, nor of the guide's own, changes.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

GUIDE = Path(__file__).resolve().parent
ROOT = GUIDE.parent.parent
sys.path[:0] = [str(GUIDE), str(ROOT)]

from building.colours import colours  # noqa: E402


def _kept() -> Path:
    """The folder of what pages gave, for the code and results as they are; old ones are deleted."""
    experiments = GUIDE.parent
    read = [
        *(ROOT / "vae").rglob("*.py"),
        *(ROOT / "vae").rglob("*.yaml"),
        *(GUIDE / "figures.py", *GUIDE.glob("measured/*.py"), *GUIDE.glob("looked_up/*.py")),
        *(experiments / "own_parts").glob("*.*"),
        *(experiments / "results").rglob("*.json"),
    ]
    held = hashlib.sha256(os.environ.get("GUIDE_FAST", "").encode())
    for path in sorted(read):
        held.update(path.read_bytes())
    for page in sorted(GUIDE.rglob("*.md")):  # of which others list title and description
        held.update(
            "".join(
                re.findall(r"^(?:# |description:).*$", page.read_text(encoding="utf-8"), re.M)
            ).encode()
        )
    folder = ROOT / "build" / "docs-executed"
    kept = sorted(folder.glob("*"), key=lambda path: path.stat().st_mtime)
    for older in kept[:-3]:
        shutil.rmtree(older)
    return folder / held.hexdigest()[:16]


os.environ["PYTHONPATH"] = os.pathsep.join([str(GUIDE), str(ROOT)])  # of the pages' interpreters
os.environ.update(OMP_NUM_THREADS="1", WANDB_MODE="disabled", COLUMNS="80")

# A reader's own start-up files have no part in it; what an interpreter says of itself is not shown.
profile = ROOT / "build" / "docs-ipython" / "profile_default" / "ipython_kernel_config.py"
profile.parent.mkdir(parents=True, exist_ok=True)
profile.write_text("c.IPKernelApp.log_level = 'ERROR'\n", encoding="utf-8")
os.environ["IPYTHONDIR"] = str(profile.parent.parent)
logging.getLogger("traitlets").setLevel(logging.ERROR)

project = "Every way through the random node"
author = "the authors of vae"
release = version = importlib.metadata.version("vae")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "myst_nb",
    "building.claims",
    "building.mathml",
    "building.links",
    "building.references",
    "building.rooms",
]
exclude_patterns = ["README.md"]
nitpicky = True
show_warning_types = True

html_theme = "furo"
html_title = "Every way through the random node"
html_static_path = ["static"]
html_css_files = ["guide.css"]
html_copy_source = False
html_show_copyright = False
html_math_renderer = "mathml"
html_theme_options: dict[str, Any] = {
    "light_css_variables": colours("light"),
    "dark_css_variables": colours("dark"),
    "navigation_with_keys": True,
}
pygments_style, pygments_dark_style = "a11y-high-contrast-light", "a11y-high-contrast-dark"

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 3
nb_output_stderr = "remove"  # a library's notices, with paths of the machine that built it
nb_execution_mode = "cache"
nb_execution_cache_path = str(_kept())
nb_execution_raise_on_error = False  # a warning with its traceback, and warnings are errors
nb_execution_timeout = 120
nb_execution_show_tb = True
nb_merge_streams = True
nb_code_prompt_show = "Code"
nb_code_prompt_hide = "Code"

napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
autodoc_inherit_docstrings = False
toc_object_entries_show_parents = "hide"
add_module_names = False

nb_render_markdown_format = "myst"
nb_render_markdown_extensions: list[str] = []
