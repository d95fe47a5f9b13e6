"""Distributed sparse deep reinforcement learning on Ray.

Importing this package imports neither ray nor torch: each process pays only for the parts it uses.
"""

__version__ = "0.1.0"
