"""Imported before numpy, torch and jax, so that each makes pools of one thread, as this project's own runs do."""

import os

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_PLATFORMS"] = "cpu"


def pin(cpu: int) -> None:
    """Keep the process on one core. XLA's pool is as large as the cores left at its first use, so pin before that."""
    os.sched_setaffinity(0, {cpu})
