"""Any optimizer of torch by its name, with groups of parameters by pattern."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from elmo.errors import InputError, suggest
from elmo.registry import REGISTRY
from elmo.values import LearningRate, read_value
from experiments.training.optimization.row_sparse import Adagrad

SPARSE_OPTIMIZERS = ("Adagrad", "SGD")
FUSED_OPTIMIZERS = ("Adagrad", "Adam", "AdamW")  # torch has a step in one pass over each parameter
# One evaluates the loss several times a step, one takes sparse gradients only.
UNFIT_OPTIMIZERS = ("LBFGS", "SparseAdam")


@runtime_checkable
class SparseModule(Protocol):
    """A module, such as a softmax, that says whether its gradients hold only the rows that were used."""

    has_sparse_gradient: bool


@REGISTRY.register("optimizer", "torch_optimizer")
class OptimizerChoice:
    """An optimizer class of torch with its options, to be made for a model.

    Args:
        name: of a class in torch.optim, such as AdamW or Adagrad.
        learning_rate: at the height of the schedule.
        options: further arguments of that class.
        groups: each `{pattern: <regular expression>, <option>: <value> ...}`; a parameter belongs to the
            first group whose pattern is found in its name and takes that group's options, `learning_rate`
            included.
    """

    def __init__(
        self, *, name: str, learning_rate: LearningRate, options: dict[str, Any], groups: list[dict[str, Any]]
    ) -> None:
        self.cls = _find_class(name)
        self.learning_rate = learning_rate
        self.options = options
        self.groups = groups
        valid = [key for key in inspect.signature(self.cls).parameters if key not in ("params", "lr")]
        _refuse_unknown("optimizer.options", options, valid)
        for index, group in enumerate(groups):
            _check_pattern(f"optimizer.groups[{index}]", group)
            _check_rate(f"optimizer.groups[{index}]", group)
            _refuse_unknown(f"optimizer.groups[{index}]", group, ["pattern", "learning_rate", *valid])
        self._try()

    def create(
        self, model: nn.Module, rate_factors: Mapping[str, float] | None = None
    ) -> torch.optim.Optimizer:
        """The optimizer of the parameters that a model trains.

        Args:
            model: parameters that want no gradient are left out.
            rate_factors: on the learning rates of some parameters, by name.

        Raises:
            InputError: a pattern that fits no parameter.
        """
        named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        settings: dict[tuple[int, float], dict[str, Any]] = {}
        for name, parameter in named.items():
            index, factor = self._group_of(name), (rate_factors or {}).get(name, 1.0)
            if (index, factor) not in settings:
                settings[index, factor] = {"params": [], **self._settings_of(index, factor)}
            settings[index, factor]["params"].append(parameter)
        self._check_patterns({index for index, _ in settings}, named)
        self._check_gradients(model)
        groups = [settings[key] for key in sorted(settings)]
        if self._can_be_fused(named.values()):
            groups = [{"fused": True, **group} for group in groups]
        return self._make(groups)

    def _can_be_fused(self, parameters: Iterable[Tensor]) -> bool:
        """Whether a step can be one pass over each parameter, on a CPU; an option of the user stays."""
        chosen = {key for options in (self.options, *self.groups) for key in options}
        return (
            self.cls.__name__ in FUSED_OPTIMIZERS
            and not chosen & {"fused", "foreach", "differentiable"}
            and all(p.device.type == "cpu" and p.dtype == torch.float32 for p in parameters)
        )

    def _settings_of(self, index: int, factor: float) -> dict[str, Any]:
        """The options of a group, the last being that of parameters without a pattern."""
        group = self.groups[index] if index < len(self.groups) else {}
        options = {key: value for key, value in group.items() if key not in ("pattern", "learning_rate")}
        return {"lr": factor * group.get("learning_rate", self.learning_rate), **options}

    def _check_patterns(self, used: Collection[int], names: Collection[str]) -> None:
        for index, group in enumerate(self.groups):
            if index not in used:
                raise InputError(
                    f"optimizer.groups[{index}].pattern: {group['pattern']!r} fits no parameter that is left;"
                    f" there are {', '.join(names)}"
                )

    def _make(self, settings: list[dict[str, Any]]) -> torch.optim.Optimizer:
        with self._faults_of_options():
            for group in settings:  # alone, because torch checks a group's own options only when it steps
                self.cls(**{**self.options, **group})  # type: ignore[call-arg]
            return self.cls(settings, lr=self.learning_rate, **self.options)  # type: ignore[call-arg]

    @contextmanager
    def _faults_of_options(self) -> Iterator[None]:
        try:
            yield
        except (TypeError, ValueError, IndexError, RuntimeError, OverflowError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"optimizer: {self.cls.__name__} refuses its options: {reason}") from error

    def _try(self) -> None:
        """Make and step the optimizer of two parameters: torch checks some options, such as the number of
        betas, only in a step."""
        parameters = [nn.Parameter(torch.ones(2, 2)) for _ in range(len(self.groups) + 1)]
        optimizer = self._make(
            [{"params": [p], **self._settings_of(i, 1.0)} for i, p in enumerate(parameters)]
        )
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter)
        with self._faults_of_options():
            optimizer.step()
        if not all(bool(parameter.isfinite().all()) for parameter in parameters):
            raise InputError(f"optimizer.options: a step of {self.cls.__name__} leads to NaN or infinity")

    def _check_gradients(self, model: nn.Module) -> None:
        name = self.cls.__name__
        for path, module in model.named_modules():
            parameters = [parameter for parameter, _ in module.named_parameters(prefix=path)]
            if not (isinstance(module, SparseModule) and module.has_sparse_gradient):
                continue
            remedy = "or dense gradients (softmax.sparse=false)"
            given = f"sparse gradients, as those of {type(module).__name__} are"
            if name not in SPARSE_OPTIMIZERS:
                raise InputError(
                    f"optimizer.name: {name} takes no {given}; expected one of"
                    f" {', '.join(SPARSE_OPTIMIZERS)}, {remedy}"
                )
            for parameter in parameters:
                options = {**self.options, **self._settings_of(self._group_of(parameter), 1.0)}
                if options.get("weight_decay"):
                    raise InputError(f"optimizer.options.weight_decay: expected 0 with {given}, {remedy}")

    def _group_of(self, name: str) -> int:
        for index, group in enumerate(self.groups):
            if re.search(group["pattern"], name):
                return index
        return len(self.groups)


def _find_class(name: str) -> type[torch.optim.Optimizer]:
    classes = {
        key: value
        for key, value in vars(torch.optim).items()
        if inspect.isclass(value)
        and issubclass(value, torch.optim.Optimizer)
        and value is not torch.optim.Optimizer
        and key not in UNFIT_OPTIMIZERS
    } | {"Adagrad": Adagrad}
    if name not in classes:
        raise InputError(f"optimizer.name: no optimizer {name!r} in torch.optim{suggest(name, classes)}")
    return classes[name]


def _refuse_unknown(where: str, given: dict[str, Any], valid: list[str]) -> None:
    for key in given:
        if key not in valid:
            raise InputError(f"{where}.{key}: unknown key{suggest(key, valid)}")


def _check_rate(where: str, group: dict[str, Any]) -> None:
    faults: list[str] = []
    if "learning_rate" in group:
        read_value(group["learning_rate"], LearningRate, f"{where}.learning_rate", faults)
    if faults:
        raise InputError(faults[0])


def _check_pattern(where: str, group: dict[str, Any]) -> None:
    try:
        re.compile(group["pattern"])
    except (KeyError, TypeError, re.error) as error:
        raise InputError(f"{where}.pattern: expected a regular expression, got {group} ({error})") from error
