"""Paths that a person gives."""

from __future__ import annotations

from pathlib import Path

from rlx2_ray.types import BadInput


def there(path: Path) -> Path:
    """Raises BadInput where nothing is."""
    if not path.exists():
        raise BadInput(f"There is no {path}: check the path, which is seen from {Path.cwd()}.")
    return path
