"""What jobs import late, imported once in the process that a local sweep forks them from: nobody waits there.

`--help` and the like shall not wait for these imports, and a job that imports them itself takes five seconds.
"""

from __future__ import annotations

from importlib import import_module

import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins

from elmo.registry import REGISTRY

for name in ("wandb", "torch.utils.tensorboard", "matplotlib.backends.backend_agg", "matplotlib.figure"):
    import_module(name)
for name in ("build", "initial", "resume"):
    import_module(f"experiments.config.{name}")
for name in ("curves", "evaluations", "report", "run_logger", "tensorboard_sink", "wandb_sink"):
    import_module(f"experiments.logging.{name}")
import_module("experiments.train")
REGISTRY.discover("elmo", "tasks", "experiments.training")
torch.optim.SGD([torch.zeros(1, requires_grad=True)])  # the first optimizer imports torch's compiler
Plugins.instance()  # of Hydra, which are looked for in all packages
OverridesParser.create().parse_override("key=value")
