"""What RLlib wants beside our own files in a checkpoint: which class made it, and of what."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from ray import cloudpickle
from ray.rllib.utils.checkpoints import CHECKPOINT_VERSION_LEARNER_AND_ENV_RUNNER, Checkpointable

from rlx2_ray import files
from rlx2_ray.types import BadInput

EMPTY = b"\x80"  # a map, in msgpack


def local_folder(path: str | os.PathLike[str] | None, filesystem: object = None) -> Path:
    """Returns the path, or a new folder for None. Raises BadInput for one that is not of this machine's file system."""
    if path is None:
        return Path(tempfile.mkdtemp(prefix="rlx2-"))
    text = os.fspath(path).removeprefix("file://")
    if getattr(filesystem, "type_name", "local") != "local" or "://" in text:  # pyarrow's names of its kinds
        raise BadInput(f"The path {text} is not of this machine's file system: give a local one, and copy it there.")
    return Path(text).absolute()


def write_class_files(made: Checkpointable, folder: Path) -> None:
    """Write the files as RLlib's own `save_to_path` writes them, and its own `from_checkpoint` needs them.

    The second is a pickle, as in all of RLlib's checkpoints; nothing in this package ever loads it. The state that
    RLlib looks for is empty, since it is in files of our own.
    """
    metadata: dict[str, Any] = {
        "checkpoint_version": str(CHECKPOINT_VERSION_LEARNER_AND_ENV_RUNNER),
        **made.get_metadata(),
    }
    files.write(folder / made.METADATA_FILE_NAME, json.dumps(metadata))
    content = {"class": type(made), "ctor_args_and_kwargs": made.get_ctor_args_and_kwargs()}
    files.write(folder / made.CLASS_AND_CTOR_ARGS_FILE_NAME, cloudpickle.dumps(content))
    files.write(folder / f"{made.STATE_FILE_NAME}.msgpack", EMPTY)
