"""The library without the packages of the extra `experiments`, and what the commands say without them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from places import ROOT, TEST_DATA

EXTRA = ["datasets", "hydra", "matplotlib", "omegaconf", "tensorboard", "wandb"]
WITHOUT_EXTRA = f"""
import sys
from importlib.machinery import PathFinder


class CoreFinder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] in {EXTRA} else super().find_spec(name, path, target)


sys.meta_path = [CoreFinder if finder is PathFinder else finder for finder in sys.meta_path]
"""
EMBED = """
from pathlib import Path
from torch import nn
from elmo import Elmo, ElmoEmbedder, ScalarMix
from elmo.io.model_directory import save_model
from elmo.io.official import read_official
from elmo.io.official_options import read_options

options, weights, directory = map(Path, sys.argv[1:])
encoder = nn.ModuleDict({"encoder": read_official(options, weights)})
save_model(directory, config={"encoder": read_options(options)}, model=encoder, vocabulary=None)
sentences = [["First", "sentence", "."], ["Another", "."]]
layers = ElmoEmbedder(directory, layers="all").embed_sentences(sentences, as_torch=True)
assert layers.shape == (2, 3, 3, 16), layers.shape
(mixed,) = Elmo(directory)(sentences)["elmo_representations"]
assert mixed.shape == (2, 3, 16) == ScalarMix(num_layers=3)(list(layers.unbind(1))).shape
"""
COMMAND = """
import runpy

sys.argv = ["train"]
runpy.run_module("experiments.train", run_name="__main__", alter_sys=True)
"""


def run_without_extra(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_EXTRA + program, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_models_are_loaded_and_embed_without_the_extra(tmp_path: Path) -> None:
    files = (
        TEST_DATA / "allennlp" / "relu_skip_options.json",
        TEST_DATA / "allennlp" / "relu_skip_weights.hdf5",
    )
    done = run_without_extra(EMBED, *files, tmp_path / "model")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_command_without_the_extra_says_what_to_install() -> None:
    done = run_without_extra(COMMAND)
    wanted = (
        "not installed: datasets, hydra, matplotlib, omegaconf, tensorboard, wandb; "
        "run: pip install -e '.[experiments]'\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", wanted)
