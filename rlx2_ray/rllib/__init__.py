"""The RLlib face: RLx2 as an algorithm of RLlib, and its finished policies as modules of RLlib.

Importing this imports RLlib (seconds, 250 MB) and registers the algorithm with Tune as "RLx2".
"""

from ray.tune import register_trainable

from rlx2_ray.rllib.algorithm import RLx2
from rlx2_ray.rllib.config import RLx2Config
from rlx2_ray.rllib.policy_module import RLx2PolicyModule

__all__ = ["RLx2", "RLx2Config", "RLx2PolicyModule"]

RLx2Config.builds = RLx2
register_trainable("RLx2", RLx2)
