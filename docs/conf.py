"""Sphinx: README, docs/, results and benchmarks as one site, with its links checked. `make docs` builds it."""

from __future__ import annotations

import rlx2_ray

project = "rlx2_ray"
version = release = rlx2_ray.__version__
copyright = "the authors of rlx2_ray, Apache-2.0"  # Sphinx names it so
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = [
    *("README.md", "CHANGELOG.md", "SECURITY.md", "docs/*.md", "benchmarks/RESULTS.md"),
    *("results/README.md", "results/runtimes.md", "results/compressions/*.md"),
]
exclude_patterns = [".*", "build", "runs", "mlartifacts", "rlx2_ray", "tests", "*.egg-info"]  # not walked through
myst_heading_anchors = 3  # links to headings, as a viewer of the repository makes them
myst_enable_extensions = ["colon_fence"]
nitpicky = False
html_theme = "furo"
html_title = "rlx2_ray"
html_show_sphinx = False
autodoc_typehints = "description"
