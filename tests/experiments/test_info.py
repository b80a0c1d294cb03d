"""The command that lists what can be chosen: complete, with sizes, sources and licences."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from experiments import info
from experiments.config.command import CONF_PATH, run_command


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert run_command(info.main, config_name="info", arguments=arguments) == code
    captured = capsys.readouterr()
    return captured.err if code else captured.out


def lines_of(printed: str) -> dict[str, dict[str, str]]:
    """The lines of the options of each group."""
    tables: dict[str, dict[str, str]] = {}
    for line in printed.splitlines():
        name, _, rest = line.partition(" ")
        if name.endswith("="):
            group = tables.setdefault(name.removesuffix("="), {})
        elif name:
            group[name] = rest.strip()
    return tables


def test_every_option_of_every_group_has_a_line_that_says_what_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tables = lines_of(said(capsys))
    assert {group: set(options) for group, options in tables.items()} == {
        path.name: {file.stem for file in path.glob("*.yaml")}
        for path in CONF_PATH.iterdir()
        if path.is_dir() and path.name != "hydra"
    }
    assert [name for options in tables.values() for name, line in options.items() if len(line) < 10] == []
    assert tables["encoder"]["elmo_original"].startswith("93,600,848 ")
    assert tables["experiment"]["elmo_original"].startswith("93,600,848 ")
    assert "10 epochs" in tables["experiment"]["elmo_original"]  # the abbreviation before ends no sentence
    assert tables["data"]["squad"].endswith("CC BY-SA 4.0")


def test_every_data_set_states_its_source_and_licence() -> None:
    for path in (CONF_PATH / "data").glob("*.yaml"):
        option = info.read_option("data", path.stem, path)
        assert option.source and option.licence, path
        name = yaml.safe_load(path.read_text()).get("name", "???")
        assert name == "???" or name in option.source, path


def test_one_group_and_one_option_can_be_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(lines_of(said(capsys, "group=head"))) == {"head"}
    assert said(capsys, "group=head", "option=cnn") == (CONF_PATH / "head" / "cnn.yaml").read_text()


def test_a_user_s_own_options_are_listed_by_the_docstring_if_they_have_no_comment(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "head").mkdir()
    (tmp_path / "head" / "my_head.yaml").write_text("type: cnn\nnum_words: 40\n")
    heads = lines_of(said(capsys, "--config-dir", str(tmp_path), "group=head"))["head"]
    assert {"cnn", "my_head"} <= set(heads)
    assert heads["my_head"].startswith("Convolution, relu")
    assert said(capsys, "--config-dir", str(tmp_path), "group=head", "option=my_head").startswith("type: cnn")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["group=heads"], "group: no group 'heads'; nearest: head"),
        (["group=head", "option=pool"], "option: no option 'pool' of head; nearest: pooled"),
        (["option=pooled"], "option: name its group as well"),
        (["grup=head"], "grup: unknown key; nearest: group"),
    ],
)
def test_its_faults_are_a_line_each(
    capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    (told,) = said(capsys, *arguments, code=2).splitlines()
    assert told.startswith(line)
