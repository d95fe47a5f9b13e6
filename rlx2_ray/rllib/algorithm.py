"""RLx2 as an algorithm of RLlib: `rlx2 train` one evaluation at a time, in a run directory like any other.

Its checkpoints are run directories too, so `rlx2 resume`, `rlx2 evaluate` and `rlx2 export` take them, and it takes
those of `rlx2 train`. RLlib's own parts (EnvRunners, Learners, connectors) have no share in it.
"""

from __future__ import annotations

import logging
import sys
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Self

from ray import tune
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.utils import force_list

from rlx2_ray import plugins
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.distributed.cluster import actor_cpus
from rlx2_ray.distributed.launch import train as train_on_runtime
from rlx2_ray.envs import modules
from rlx2_ray.envs.make import probe_spaces
from rlx2_ray.experiment import session
from rlx2_ray.experiment.display import LogDisplay
from rlx2_ray.experiment.interruption import StopWish
from rlx2_ray.experiment.playback import find_policy, play, playable
from rlx2_ray.experiment.run import Training
from rlx2_ray.replay import snapshot
from rlx2_ray.rllib import results
from rlx2_ray.rllib.checkpoint_files import local_folder, write_class_files
from rlx2_ray.rllib.config import RLx2Config
from rlx2_ray.rllib.policy_module import RLx2PolicyModule
from rlx2_ray.runs.checkpoint import Checkpoint, list_checkpoints, load_newest
from rlx2_ray.runs.checkpoint_form import RunForm
from rlx2_ray.runs.directory import RunDirectory, Tracking
from rlx2_ray.runs.parts import Origin
from rlx2_ray.tracking import consent
from rlx2_ray.types import BadInput

LOG_FILE = "log.txt"
LOCK_WAIT_S = 120.0  # Ray's processes may outlive a killed driver for a minute

logger = logging.getLogger(__name__)


class RLx2(Algorithm):  # type: ignore[misc]
    @classmethod
    def get_default_config(cls) -> RLx2Config:
        return RLx2Config()

    @classmethod
    def default_resource_request(cls, config: Mapping[str, Any]) -> tune.PlacementGroupFactory:
        """Returns what a trial of Tune needs: a CPU, and on actors one more for each of them."""
        asked = cls.get_default_config().update_from_dict(config)
        runtime = asked.to_experiment().runtime
        main = {"CPU": asked.num_cpus_for_main_process, **asked.custom_resources_for_main_process}
        actors = actor_cpus(runtime) if runtime.kind == "actors" else 0
        return tune.PlacementGroupFactory([main] + [{"CPU": 1}] * actors, strategy=asked.placement_strategy)

    def setup(self, config: RLx2Config) -> None:
        """Raises BadInput where the environment, the sparsities or the device cannot be used."""
        logging.getLogger("ray.rllib").setLevel(config.log_level)
        self.callbacks = [kind() for kind in force_list(config.callbacks_class)]
        self.env_runner_group = None
        self._set_up_metrics()  # RLlib's own, of the parts that call back
        self._experiment = config.to_experiment()
        consent.agree(config.tracking_uri)  # of the person who made the configuration, maybe on another machine
        plugins.allow(each.path for each in self._experiment.plugins)
        modules.allow_typed([self._experiment.env])
        session.check(self._experiment)
        self._directory = RunDirectory(Path(self.logdir) / _run_name(self._experiment))
        self._training: Training | None = None

    @property
    def run_directory(self) -> Path:
        """Where the run is, from its first iteration on."""
        return self._directory.path

    def step(self) -> results.Result:
        """Does one iteration: to the next evaluation; with the last one, to the end of the run.

        Raises BadInput after the end. After any other error the next iteration goes on from the newest checkpoint.
        """
        if self._directory.result_file.exists():
            raise BadInput(f"The run has its {self._experiment.steps} env steps: give more by training(steps=N).")
        self._training, training = None, self._training or self._open()
        try:
            with _standard_output():
                while next(training)["env_steps"] >= self._experiment.steps:
                    pass
        except StopIteration as end:
            result = self._newest()
            result[results.OURS] |= results.of_end(end.value)
            return result | {"done": True}
        self._training = training
        return self._newest()

    def _open(self) -> Training:
        host = session.Host(
            make_display=partial(LogDisplay, self._directory.path / LOG_FILE),
            stop=lambda: nullcontext(StopWish()),  # by `stop`, or by an exception
            lock_wait_s=LOCK_WAIT_S,
        )
        path = self._directory.path
        training = (
            session.go_on(path, train_on_runtime, host)
            if self._directory.config_file.exists()
            else session.begin(self._experiment, path, self._tracking(), train_on_runtime, host)
        )
        weakref.finalize(self, training.close)  # also where a script ends without `stop`
        return training

    def _newest(self) -> results.Result:
        points = self._directory.read_points()
        self._iteration = len(points) - 1  # `train` counts this one
        return results.of_points(points, self._experiment.evaluation)

    def _tracking(self) -> Tracking:
        """A trial of Tune stays the same run in MLflow wherever it goes on."""
        trial = f"{self._storage.experiment_dir_name}-{self._storage.trial_dir_name}" if self._storage else None
        return Tracking(self.config.tracking_uri, self.config.mlflow_experiment, trial)

    def evaluate(self, parallel_train_future: object = None) -> results.Result:
        """Noise-free episodes with the policy of the latest iteration: those of `rlx2 evaluate --seed SEED`.

        Raises BadInput before the first iteration.
        """
        episodes, seed = self._experiment.evaluation.episodes, self._experiment.seed
        self._check_begun()
        played = playable(find_policy(self._directory.path, logger.warning))
        limit = self._experiment.evaluation.max_episode_steps
        return results.of_evaluation(play(played, self._directory.path, episodes, seed, max_episode_steps=limit))

    def get_module(self, *args: Any, **kwargs: Any) -> RLx2PolicyModule:
        """The policy of the latest iteration. Raises BadInput before the first one."""
        self._check_begun()
        return RLx2PolicyModule.from_checkpoint(self._directory.path)

    def _check_begun(self) -> None:
        if not list_checkpoints(self._directory.checkpoints):
            raise BadInput("There is no policy before the first iteration: call train() first.")

    def save_to_path(
        self, path: str | Path | None = None, *, filesystem: object = None, state: object = None, **kwargs: Any
    ) -> str:
        """A copy of the run at this moment in a local folder. RLlib's `state` and `use_msgpack` change nothing.

        Raises BadInput where any other run is, RunFailed where there is no room.
        """
        if not self._directory.config_file.exists():  # before the first iteration
            self._directory.create(self._experiment, self._tracking())
            self._directory.close()
        folder = local_folder(path, filesystem)
        if RunDirectory(folder).config_file.exists() and not (folder / self.METADATA_FILE_NAME).exists():
            raise BadInput(f"{folder} holds a run that is no checkpoint of RLlib: give another folder.")
        self._directory.copy_to(folder)
        write_class_files(self, folder)
        return str(folder)

    def restore_from_path(self, path: str | Path, *, filesystem: object = None, **kwargs: Any) -> None:
        """Go on, with this configuration, from where a run was that RLlib or `rlx2 train` made.

        With the same configuration it stays the same run in MLflow. Raises BadInput where the run is damaged.
        """
        source = RunDirectory(local_folder(path, filesystem))
        config, origin = source.open()
        _check_undamaged(source, config)
        self.cleanup()
        if source.path == self._directory.path:  # where it is already
            return
        is_same = not self._storage and _without_saving(config) == _without_saving(self._experiment)
        is_same = is_same and consent.is_own(origin.tracking_uri, origin.trial_key, source.path)
        tracking = _tracking_of(origin) if is_same else self._tracking()
        for newest in list_checkpoints(source.checkpoints)[-1:]:
            self._directory.adopt(self._experiment, tracking, newest, source.progress_file)
            self._iteration = len(self._directory.read_points())

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path | tune.Checkpoint,
        filesystem: object = None,
        *,
        config: RLx2Config | None = None,
        **kwargs: Any,
    ) -> Self:
        """Makes the algorithm of a saved one, or of a run of `rlx2 train`; nothing is unpickled.

        `config`: by default that of the run, without callbacks and resources, which it does not hold.
        """
        folder = local_folder(path.to_directory() if isinstance(path, tune.Checkpoint) else path, filesystem)
        made: Self = (config or RLx2Config.from_run(folder)).build_algo()
        made.restore_from_path(folder)
        return made

    def cleanup(self) -> None:
        """Leaves a run that goes on from its newest checkpoint."""
        if self._training is not None:
            with _standard_output():
                self._training.close()
            self._training = None

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        raise BadInput("The state of RLx2 is a run directory and no dict: use save_to_path.")

    def set_state(self, *args: Any, **kwargs: Any) -> None:
        raise BadInput("The state of RLx2 is a run directory and no dict: use restore_from_path.")


@contextmanager
def _standard_output() -> Iterator[None]:
    """A run on a Ray of its own has turned it off when it comes back in the middle of its work."""
    outside = sys.stdout
    try:
        yield
    finally:
        sys.stdout = outside


def _run_name(config: ExperimentConfig) -> str:
    env_id = config.env.id.replace("/", "_").replace(":", "_")
    return f"{env_id}-{config.algo}-{config.method}-s{config.seed}"


def _tracking_of(origin: Origin) -> Tracking:
    return Tracking(origin.tracking_uri, origin.experiment, origin.trial_key, origin.parent_run_id, origin.tags)


def _without_saving(config: ExperimentConfig) -> dict[str, Any]:
    return config.model_dump(exclude={"checkpoint", "runtime"})


def _check_undamaged(run: RunDirectory, config: ExperimentConfig) -> None:
    """Raises BadInput, naming the newest checkpoint, where there are some and none can be read."""
    damages: list[str] = []

    def verify(checkpoint: Checkpoint) -> None:
        snapshot.verify(checkpoint.replay, form.sizes)

    for newest in list_checkpoints(run.checkpoints)[-1:]:
        form = RunForm(config, probe_spaces(config.env))
        if load_newest(run.checkpoints, form, verify, damages.append) is None:
            raise BadInput(f"{damages[0].partition(';')[0]}: restore {newest} from a copy.")
