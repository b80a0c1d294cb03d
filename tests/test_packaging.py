"""The sdist, the wheel that is built from it, and its console scripts, installed and run in any folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from places import CONF, ROOT
from tiny_runs import COMMON, TINY

pytest.importorskip("hatchling", reason="the build backend is not installed; the extra `dev` has it")

PACKAGES = ("elmo", "experiments", "tasks")
BUILD = "import sys, hatchling.build as backend; print(getattr(backend, sys.argv[1])(sys.argv[2]))"
PLAIN = {
    name: value
    for name, value in os.environ.items()
    if name not in ("PYTHONPATH", "PYTHONSAFEPATH", "COLUMNS")
}


def build(kind: str, source: Path, target: Path) -> Path:
    command = [sys.executable, "-c", BUILD, f"build_{kind}", str(target)]
    done = subprocess.run(command, cwd=source, env=PLAIN, capture_output=True, text=True, check=True)
    return target / done.stdout.strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the unpacked sdist."""
    path = tmp_path_factory.mktemp("dist")
    sdist = build("sdist", ROOT, path)
    with tarfile.open(sdist) as archive:
        archive.extractall(path, filter="data")
    return build("wheel", path / sdist.name.removesuffix(".tar.gz"), path)


def environment(path: Path, *package: str) -> Path:
    """A virtual environment with the package and with what is installed here; its folder of scripts."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", path], check=True)
    scripts = path / "bin"
    # not the editable install of this one, whose .pth file only counts in its own folder
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (path / "lib" / version / "site-packages" / "others.pth").write_text(sysconfig.get_path("purelib"))
    pip = [sys.executable, "-m", "pip", "--python", scripts / "python", "--disable-pip-version-check"]
    install = ["install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, *install, "--ignore-installed", *package], check=True, env=PLAIN)
    return scripts


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment(tmp_path_factory.mktemp("wheel"), str(wheel))


def run(command: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a script or a Python with arguments; it must succeed."""
    done = subprocess.run(
        [command, *arguments], cwd=cwd, env=PLAIN, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done


def test_the_wheel_has_all_files_of_the_packages_and_conf(wheel: Path) -> None:
    expected = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in (".py", ".typed", ".html", ".c", ".h")
    }
    expected |= {f"experiments/conf/{path.relative_to(CONF)}" for path in CONF.rglob("*.yaml")}
    found = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert found == expected | {"elmo/LICENSE"}


def test_an_installed_wheel_trains_beside_folders_named_as_its_packages(
    installed: Path, tmp_path: Path
) -> None:
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise ImportError('not ours')\n")
    (tmp_path / "text.txt").write_text("".join(f"a sentence of number {i}\n" for i in range(60)))
    sizes = [*COMMON, *TINY, "trainer.max_steps=1", "vocabulary.min_count=1", "softmax=full"]
    plugin = tmp_path / "my_package"
    plugin.mkdir()
    (plugin / "__init__.py").write_text("print('the plug-in is imported')\n")
    text = ["data=text", "data.train=text.txt", "cache_dir=cache", "plugins=[my_package]"]
    trained = run(str(installed / "elmo-train"), *sizes, *text, "output_dir=run", cwd=tmp_path)
    assert "the plug-in is imported" in trained.stdout
    assert (tmp_path / "run" / "model" / "model.safetensors").exists()


def test_a_plain_folder_of_a_packages_name_hides_nothing_of_an_editable_install(tmp_path: Path) -> None:
    scripts = environment(tmp_path / "environment", "--editable", str(ROOT))
    for package in PACKAGES:
        (tmp_path / package).mkdir()
    shown = run(str(scripts / "python"), "-m", "experiments.train", "--cfg", "job", cwd=tmp_path)
    assert "type: language_model" in shown.stdout


def test_every_command_has_a_console_script(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        lines = archive.read(name).decode().splitlines()
    scripts = dict(line.split(" = ") for line in lines if " = " in line)
    files = (ROOT / "experiments").glob("*.py")
    modules = [path.stem for path in files if '"__main__"' in path.read_text(encoding="utf-8")]
    modules += [path.parent.name for path in (ROOT / "experiments").glob("*/__main__.py")]
    assert set(scripts) == {f"elmo-{module.replace('_', '-')}" for module in modules}
    for script, value in scripts.items():
        function = EntryPoint(script, value, "console_scripts").load()
        assert f"`{script}`" in function.__doc__


COMPLETE = """
set -e
eval "$(elmo-train --shell-completion install=bash)"
complete -p elmo-train
COMP_LINE="elmo-train encoder=elmo_"; COMP_POINT=${#COMP_LINE}; COMP_WORDS=($COMP_LINE); COMP_CWORD=1
hydra_bash_completion
echo "${COMPREPLY[@]}"
"""


def test_bash_completes_a_console_scripts_options(installed: Path, tmp_path: Path) -> None:
    path = f"{installed}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", COMPLETE],
        cwd=tmp_path,
        env={**PLAIN, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    rule, choices = done.stdout.splitlines()
    assert rule == "complete -o default -o nospace -F hydra_bash_completion elmo-train"
    sizes = sorted(path.stem for path in (CONF / "encoder").glob("elmo_*.yaml"))
    assert choices.split() == [f"encoder={size}" for size in sizes]
