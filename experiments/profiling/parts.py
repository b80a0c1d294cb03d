"""The parts of a training step, one after the other, told as each of them begins.

A part is the data, the forward or backward pass of a part of the model, clipping, or the optimizer. The end
of a part of the backward pass is known by the gradient of what that part was given: there the backward pass
of the part before it begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from experiments.training.trainer import Trainer
from tasks.language_model.model import LanguageModel

Enter = Callable[[str], None]  # called with the name of a part as it begins, which ends the one before
OTHER = "other"  # what belongs to none of the parts
BACKWARD = " backward"  # how the name of a part's backward pass ends


@contextmanager
def told_parts(trainer: Trainer, enter: Enter) -> Iterator[None]:
    """Within the block, `enter` is called as each part of the trainer's steps begins.

    A step that is replayed from a CUDA graph runs no Python and tells its parts only while it is recorded.
    """
    before = trainer.steps.enter
    with ExitStack() as stack:
        for name, module in _modules(trainer.training.model).items():
            for hook in _hooks(module, name, enter):
                stack.callback(hook.remove)
        trainer.steps.enter = enter
        try:
            yield
        finally:
            trainer.steps.enter = before


def _modules(model: nn.Module) -> dict[str, nn.Module]:
    """The parts of a model by name; they are called one after the other, each once for a batch."""
    if isinstance(model, LanguageModel):
        return {"CNN": model.encoder.words, "LSTM": model.encoder.context, "softmax": model.softmax}
    return dict(model.named_children())


def _hooks(module: nn.Module, name: str, enter: Enter) -> list[torch.utils.hooks.RemovableHandle]:
    def begin(module: nn.Module, arguments: Any) -> None:
        if module.training:
            enter(name)

    def end(module: nn.Module, arguments: Any, result: Any) -> None:
        if module.training:
            for tensor in _tensors(result):
                if tensor.requires_grad:
                    tensor.register_hook(lambda gradient: enter(name + BACKWARD))
            enter(OTHER)

    return [module.register_forward_pre_hook(begin), module.register_forward_hook(end)]


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)
