"""The configuration as RLlib has it: RLlib's own names where there are such, and all keys of ours beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig, NotProvided
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from rlx2_ray import config as configuration
from rlx2_ray import plugins
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.envs import modules
from rlx2_ray.rllib import settings as rllib_settings
from rlx2_ray.runs.directory import RunDirectory
from rlx2_ray.tracking import consent
from rlx2_ray.tracking.uri import default_experiment, default_tracking_uri, hide_secret


class RLx2Config(AlgorithmConfig):  # type: ignore[misc]
    builds: ClassVar[type | None] = None  # RLx2, which imports this file; the package's `__init__` gives it

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or self.builds)
        self.algo = "td3"
        self.method = "rlx2"
        self.policy_sparsity: float | None = None
        self.critic_sparsity: float | None = None
        self.steps: int | None = None
        self.engine: str | None = None
        self.settings: dict[str, Any] = {}
        # Resolved here, for the processes of Tune's trials are in other folders.
        self.tracking_uri = hide_secret(default_tracking_uri())
        self.mlflow_experiment = default_experiment()
        # RLlib's own, with our defaults
        self.lr = 3e-4
        self.train_batch_size_per_learner = 256
        self.min_sample_timesteps_per_iteration = 5_000

    @classmethod
    def from_run(cls, path: str | Path) -> Self:
        """Makes the configuration of a run that RLlib or `rlx2 train` made. Raises BadInput where there is none.

        It is tracked where the run was, but for a store that is not known to be the person's own.
        """
        experiment, origin = RunDirectory(Path(path)).open()
        plugins.load(experiment.plugins)
        modules.check(experiment.env)  # from here on it is taken for what a person has typed
        made = cls()
        for name, value in rllib_settings.from_experiment(experiment).items():
            setattr(made, name, value)
        if consent.is_own(origin.tracking_uri, origin.trial_key, Path(path)):
            made.tracking_uri, made.mlflow_experiment = origin.tracking_uri, origin.experiment
        return made

    def training(
        self,
        *,
        algo: Any = NotProvided,
        method: Any = NotProvided,
        policy_sparsity: Any = NotProvided,
        critic_sparsity: Any = NotProvided,
        steps: Any = NotProvided,
        engine: Any = NotProvided,
        settings: Any = NotProvided,
        tracking_uri: Any = NotProvided,
        mlflow_experiment: Any = NotProvided,
        **kwargs: Any,
    ) -> Self:
        """What `rlx2 train` has as options of these names; each may be one of Tune's search spaces.

        Args:
            algo: "td3" or "sac".
            method: Any of docs/methods.md, such as "rlx2", "rigl", "static", "prune" or "dense".
            policy_sparsity: In [0, 1), fraction of the policy's weights that are zero.
            critic_sparsity: The same of the critics' weights.
            steps: Env steps of the whole run, with which training ends.
            engine: "sparse" or "torch".
            settings: Any other key of the configuration, with its value, such as {"target.n_step": 3}.
            tracking_uri: Of the MLflow store; by default MLFLOW_TRACKING_URI, or mlflow.db in this folder.
            mlflow_experiment: Its name in MLflow; by default MLFLOW_EXPERIMENT_NAME, or rlx2.
            **kwargs: RLlib's own: lr, gamma and train_batch_size_per_learner are of use here.
        """
        super().training(**kwargs)
        given = {
            "algo": algo,
            "method": method,
            "policy_sparsity": policy_sparsity,
            "critic_sparsity": critic_sparsity,
            "steps": steps,
            "engine": engine,
            "settings": settings,
            "tracking_uri": hide_secret(tracking_uri) if isinstance(tracking_uri, str) else tracking_uri,
            "mlflow_experiment": mlflow_experiment,
        }
        for name, value in given.items():
            if value is not NotProvided:
                setattr(self, name, value)
        return self

    def to_experiment(self) -> ExperimentConfig:
        """The same as a configuration of `rlx2 train`. Raises BadInput for what cannot be done."""
        return configuration.resolve(rllib_settings.to_tree(self.get_state(), type(self)().get_state()))

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """Returns the module of env runners, which act as `rl_module(model_config={"policy": PATH})` says."""
        from rlx2_ray.rllib.policy_module import RLx2PolicyModule  # torch, which a configuration can do without

        return RLModuleSpec(module_class=RLx2PolicyModule)

    def validate(self) -> None:
        """Raises BadInput. RLlib's own checks are of parts that RLx2 does not have."""
        self.to_experiment()
