"""`rlx2 doctor`: what this machine has for the work, and what stands in its way."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import typer

from rlx2_ray.cli import options
from rlx2_ray.cli.output import print_json, print_table
from rlx2_ray.types import BadInput

GB = 1e9
LEAST_DISK, LEAST_SHARED, LEAST_MEMORY = 2 * GB, 0.5 * GB, 1 * GB  # bytes: a sweep's checkpoints, Ray's store, a run
NARROW_KERNELS = {"Prescott", "Core2", "Nehalem", "Generic", "Penryn"}  # of OpenBLAS, for processors without AVX2


class Finding(NamedTuple):
    what: str
    found: str
    remedy: str = ""  # where something stands in the way


def doctor(tracking_uri: options.TrackingUri = None, as_json: options.Json = False) -> None:
    """What this machine has for the work, from vectors to free disk, and a remedy for what stands in the way."""
    findings = [finding for check in CHECKS for finding in check()]
    findings += list(_store(tracking_uri))
    if as_json:
        print_json({finding.what: {"found": finding.found, "remedy": finding.remedy or None} for finding in findings})
        return
    print_table("", ["what", "found"], [[finding.what, finding.found] for finding in findings])
    problems = [finding for finding in findings if finding.remedy]
    for finding in problems:
        typer.echo(f"{finding.what}: {finding.found}. {finding.remedy}")
    if not problems:
        typer.echo("Nothing stands in the way.")


def _versions() -> Iterator[Finding]:
    yield Finding("rlx2_ray", _version("rlx2-ray"))
    yield Finding("Python", f"{platform.python_version()}, {platform.system()} {platform.release()}")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # a bare checkout
        return "not installed"


def _cores() -> Iterator[Finding]:
    there, ours = os.cpu_count() or 1, len(os.sched_getaffinity(0))
    busy = os.getloadavg()[0]
    remedy = ""
    if busy > there + 0.5:
        remedy = f"Other work asks for {busy:.0f} cores: training and timings are slower by as much."
    yield Finding("cores", f"{ours} of {there}, {busy:.1f} busy", remedy)


def _processor() -> Iterator[Finding]:
    from rlx2_ray.kernels.processor import processor_name, vector_bits

    bits = vector_bits()
    remedy = "" if bits >= 256 else "The kernels are made for AVX2 or wider: training is slower here."
    yield Finding("processor", f"{processor_name()}, vectors of {bits} bits", remedy)
    yield _blas(bits)


def _blas(bits: int) -> Finding:
    import scipy.linalg.blas  # noqa: F401 - so that its BLAS is loaded
    from threadpoolctl import threadpool_info

    found = next((each for each in threadpool_info() if "scipy.libs" in each["filepath"]), None)
    if found is None:
        return Finding("BLAS", "not scipy's own", "Install scipy from the package index, whose BLAS dense layers use.")
    kernels = found.get("architecture", "unknown")
    remedy = ""
    if bits >= 256 and kernels in NARROW_KERNELS:
        better = "SkylakeX" if bits == 512 else "Haswell"
        remedy = f"It uses half of this processor's vectors or less: export OPENBLAS_CORETYPE={better}."
    return Finding("BLAS", f"{found['internal_api']} {found['version']}, kernels for {kernels}", remedy)


def _gpu() -> Iterator[Finding]:
    """By the driver's files: to ask torch takes seconds."""
    build, driver = _version("torch"), Path("/proc/driver/nvidia/gpus")
    told = [file.read_text() for file in driver.glob("*/information")]
    if not told:
        yield Finding("GPU", f"none; torch {build}")
        return
    names = [line.partition(":")[2].strip() for text in told for line in text.splitlines() if line.startswith("Model")]
    torch = find_spec("torch")
    has_cuda = torch is not None and (Path(torch.origin or "").parent / "lib" / "libtorch_cuda.so").exists()
    remedy = "" if has_cuda else "This build of torch cannot use it: install that of its CUDA version."
    yield Finding("GPU", f"{', '.join(names)}; torch {build}", remedy)


def _caches() -> Iterator[Finding]:
    from rlx2_ray.export.c_compiler import find_compiler
    from rlx2_ray.kernels.cache import cache_directory

    folder = cache_directory()
    made = sorted(path.name.rpartition("-")[0] for path in folder.glob("*.ready"))
    there = f"kernels of {', '.join(made)} compiled" if made else "no kernels yet, which the first run compiles"
    place = next(path for path in (folder, *folder.parents) if path.exists())
    remedy = "" if os.access(place, os.W_OK) else "It cannot be written to: set NUMBA_CACHE_DIR, or every run compiles."
    yield Finding("kernel cache", f"{folder}, {there}", remedy)
    compiler = find_compiler()
    remedy = "" if compiler else "Exported C is not checked without one: install gcc or clang, or set CC."
    yield Finding("C compiler", compiler[0] if compiler else "none", remedy)


def _memory() -> Iterator[Finding]:
    import psutil

    free = psutil.virtual_memory().available
    remedy = "" if free >= LEAST_MEMORY else "A run needs about a gigabyte: end what else is there."
    yield Finding("memory", f"{free / GB:.1f} GB free", remedy)


def _ray() -> Iterator[Finding]:
    from rlx2_ray.distributed.private import private_folder

    try:
        with private_folder() as folder:
            yield Finding("Ray", f"{_version('ray')}, its files below {folder.parent.parent}")
    except BadInput as problem:
        yield Finding("Ray", _version("ray"), str(problem))
    if Path("/dev/shm").exists():
        free = shutil.disk_usage("/dev/shm").free
        remedy = "" if free >= LEAST_SHARED else "Ray's objects would go to disk: docker run --shm-size=2g."
        yield Finding("shared memory", f"{free / GB:.1f} GB free", remedy)


def _disk() -> Iterator[Finding]:
    for place in dict.fromkeys((Path.cwd(), Path(os.environ.get("RLX2_STORAGE") or Path.cwd()))):
        if not place.exists():
            yield Finding("storage", f"{place}, which is not there", "RLX2_STORAGE names it: make it.")
            continue
        free = shutil.disk_usage(place).free
        remedy = "" if free >= LEAST_DISK else "Checkpoints with their replay need some: make room."
        yield Finding("disk", f"{free / GB:.0f} GB free at {place}", remedy)


def _store(tracking_uri: str | None) -> Iterator[Finding]:
    from rlx2_ray.tracking.uri import default_tracking_uri, redacted, resolve_tracking_uri, sqlite_file

    uri = tracking_uri or default_tracking_uri()
    try:
        shown, database = redacted(resolve_tracking_uri(uri)), sqlite_file(uri)
        if database is not None and not database.exists():
            yield Finding("MLflow store", f"{shown}, which the first run makes")
            return
        from rlx2_ray.tracking.reader import TrackingReader

        count = len(TrackingReader(uri).experiments())
        yield Finding("MLflow store", f"{shown}, {count} experiment{'s' * (count != 1)}")
    except BadInput as problem:
        yield Finding("MLflow store", redacted(uri), str(problem))


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _versions, _cores, _processor, _gpu, _memory, _disk, _caches, _ray,
)  # fmt: skip


def print_version(is_wanted: bool) -> None:
    """For `--version`: of the package and of what computes."""
    if is_wanted:
        said = ", ".join(
            f"{name} {_version(name)}" for name in ("torch", "numpy", "ray", "mlflow", "gymnasium", "mujoco")
        )
        typer.echo(f"rlx2_ray {_version('rlx2-ray')} (Python {sys.version.split()[0]}, {said})")
        raise typer.Exit
