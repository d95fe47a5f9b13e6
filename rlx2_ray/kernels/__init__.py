"""Compiled code. Where numba keeps it is set here, before any of it is imported: `cache.py` says why."""

from rlx2_ray.kernels.cache import use_cache

use_cache()
