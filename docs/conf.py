"""The documentation as a site: .ci/docs builds it, without a network, into docs/_build."""

import importlib.metadata
import re
from pathlib import Path

from docutils import nodes
from docutils.utils.math import math2html
from docutils.writers import html5_polyglot
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

project = "OrigiNet"
author = "The OrigiNet authors"
copyright = "the OrigiNet authors, Apache-2.0"
release = version = importlib.metadata.version("originet")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "OrigiNet"
html_copy_source = False
html_show_sourcelink = False
html_static_path = [str(Path(html5_polyglot.__file__).with_name("math.css"))]
html_css_files = ["math.css"]
html_math_renderer = "html"

# Markdown as GitHub shows it, so that every page can be read in the repository too.
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

# Docstrings put code between single backticks.
default_role = "literal"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True  # or named tuples, whose fields autodoc lists, would have them twice

# Every reference must lead somewhere, but for names of other packages: without a network their
# pages cannot be looked up.
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(?!originet).*")]

# `.ci/docs` must not need a minute: the examples are run by tests/test_examples.py instead.
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "plot_gallery": False,
    "default_thumb_file": str(Path(__file__).with_name("pictures") / "cumulative.png"),
    "download_all_examples": False,
    "show_signature": False,
    "show_memory": False,
    "write_computation_times": False,
    "remove_config_comments": True,
}


def _draw(translator: HTML5Translator, node: nodes.math | nodes.math_block) -> None:
    """Formulas as HTML and CSS: no network, TeX or mathematical font is needed to see them."""
    block = isinstance(node, nodes.math_block)
    math2html.DocumentParameters.displaymode = block
    html = math2html.math2html(node.astext())
    tag = "div" if block else "span"
    translator.body.append(f'<{tag} class="formula">{html}</{tag}>')
    raise nodes.SkipNode


def _escape(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Docstrings are plain text but for backticks: |x| is no substitution, *.py no emphasis."""
    for index, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            parts = re.split(r"(`[^`]*`)", line)
            parts[::2] = [re.sub(r"([|*])", r"\\\1", part) for part in parts[::2]]
            lines[index] = "".join(parts)


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", _escape, priority=400)  # before napoleon
    app.add_html_math_renderer("html", (_draw, None), (_draw, None))
