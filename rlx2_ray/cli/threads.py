"""Imported before numpy: one thread a process, since parallelism is across runs and actors.

With more, the order of a sum, and so its last bit, would depend on the machine.
"""

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
