"""The jobs of a sweep's file and of a command line: crossed, named by what differs, each there once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from elmo.errors import InputError
from experiments.sweep.data_files import read_data_files
from experiments.sweep.grid import jobs_of, needs, read_plan
from experiments.sweep.overrides import read_value, value_text
from experiments.sweep.record import JobRecord

PATH = Path("runs/x")


def jobs(
    grid: Any, *given: str, base: dict[str, Any] | None = None, pretraining: dict[str, Any] | None = None
) -> list[JobRecord]:
    plan = read_plan(base=base or {}, grid=grid, pretraining=pretraining or {}, given=given)
    return jobs_of(plan, PATH)


def names(found: Sequence[JobRecord]) -> list[str]:
    return [job.name for job in found]


def test_a_grid_is_crossed_and_each_job_named_by_what_differs() -> None:
    found = jobs({"head": ["pooled", "cnn"], "seed": [1, 2]}, base={"task": "sentiment", "trainer": {"x": 1}})
    assert names(found) == [
        "head=pooled,seed=1",
        "head=pooled,seed=2",
        "head=cnn,seed=1",
        "head=cnn,seed=2",
    ]
    assert found[1].axes == {"head": "pooled", "seed": 2}
    assert found[1].overrides == ["task=sentiment", "trainer.x=1", "head=pooled", "seed=2"]


def test_values_may_be_a_list_or_hydras_syntax_or_names_with_overrides() -> None:
    system = {"word": {"encoder": "word"}, "elmo": {"encoder": "elmo", "mix": {"dropout": 0.1}}}
    found = jobs({"system": system, "seed": "range(1,3)", "trainer.patience": [None, 3]})
    assert len(found) == 8
    assert found[-1].axes == {"system": "elmo", "seed": 2, "trainer.patience": 3}
    assert found[-1].name == "system=elmo,seed=2,patience=3"
    assert found[-1].overrides == ["encoder=elmo", "mix.dropout=0.1", "seed=2", "trainer.patience=3"]


def test_several_grids_are_run_one_after_the_other() -> None:
    assert names(jobs([{"seed": [1]}, {"head": ["cnn"], "seed": [1]}])) == ["seed=1", "head=cnn,seed=1"]


def test_a_command_line_gives_values_to_an_axis_adds_one_or_is_for_all_jobs() -> None:
    grid = {"head": ["pooled", "cnn"], "seed": [1, 2, 3]}
    found = jobs(
        grid, "seed=7", "optimizer.learning_rate=0.1,0.2", "data.train='a b.txt'", base={"task": "x"}
    )
    assert names(found)[:2] == [
        "head=pooled,seed=7,learning_rate=0.1",
        "head=pooled,seed=7,learning_rate=0.2",
    ]
    assert len(found) == 4
    assert found[0].overrides[:2] == ["task=x", "data.train='a b.txt'"]
    assert jobs({"seed": [1]}, "task=y", base={"task": "x"})[0].overrides == ["task=y", "seed=1"]


def test_a_command_line_chooses_among_named_values() -> None:
    tasks = {name: {"data": name} for name in ("sick", "trec", "ewt")}
    grids = [{"task": tasks, "seed": [1]}, {"task": {"squad": {"data": "squad"}}, "seed": [1, 2]}]
    found = jobs([*grids, {"head": ["cnn"]}], "task=sick,squad")
    assert names(found) == ["task=sick,seed=1", "task=squad,seed=1", "task=squad,seed=2", "head=cnn"]
    assert found[0].overrides == ["data=sick", "seed=1"]
    # A value that is no name replaces the axis, as it does where nothing is named.
    assert jobs(grids[:1], "task=sentiment")[0].overrides == ["task=sentiment", "seed=1"]
    with pytest.raises(InputError, match=r"^task: sst: not among the sweep's \(ewt, sick, squad, trec\)$"):
        jobs(grids, "task=sick,sst")


def test_a_single_job_has_a_directory_below_the_sweeps() -> None:
    assert names(jobs({}, "seed=1")) == ["job"]


def test_a_name_is_short_and_fit_for_a_file_and_equal_ends_are_told_apart() -> None:
    grid = {
        "encoder.dropout": [0.1],
        "head.dropout": [0.2],
        "init_from": ["a dir/run 1"],
        "filters": [[1, 2]],
    }
    (job,) = jobs(grid)
    assert job.name == "encoder.dropout=0.1,head.dropout=0.2,init_from=run-1,filters=1-2"
    (long,) = jobs({f"key_{number}.value_{number}": ["a" * 20] for number in range(20)})
    assert len(long.name) < 140


def test_a_pretraining_comes_first_and_its_place_takes_the_place_of_its_name() -> None:
    base = {"task": "sentiment", "cache_dir": "cache", "logger": "none", "logger.progress": "none"}
    bilm = {"encoder": "elmo_tiny", "encoder.filters": [[[1, 8], [2, 8]]]}
    grid = {"system": {"word": {}, "elmo": {"init_from": "pretraining/bilm"}}}
    found = jobs(grid, base=base, pretraining={"bilm": bilm})
    assert names(found) == ["pretraining/bilm", "system=word", "system=elmo"]
    first, word, elmo = found
    assert (first.role, word.role) == ("pretraining", "job")
    shared = ["cache_dir=cache", "logger=none", "logger.progress=none"]  # of the machine, not of the task
    assert first.overrides == [*shared, "encoder=elmo_tiny", "encoder.filters=[[1,8],[2,8]]"]
    assert elmo.overrides[-1] == "init_from=runs/x/pretraining/bilm"
    assert (needs(word, found, PATH), needs(elmo, found, PATH)) == ([], ["pretraining/bilm"])


def test_each_seed_of_a_pretraining_is_an_axis_of_the_jobs_that_name_it() -> None:
    found = jobs({"seed": [1], "init_from": ["pretraining/bilm"]}, pretraining={"bilm": {"seed": [1, 2]}})
    assert names(found)[:2] == ["pretraining/bilm,seed=1", "pretraining/bilm,seed=2"]
    assert [job.axes["bilm"] for job in found[2:]] == ["seed=1", "seed=2"]
    assert [needs(job, found, PATH) for job in found[2:]] == [[name] for name in names(found)[:2]]


def test_a_run_that_is_there_takes_the_place_of_a_pretraining_and_several_are_an_axis(
    tmp_path: Path,
) -> None:
    grid = {"system": {"word": {}, "elmo": {"init_from": "pretraining/bilm"}}}
    place = str(tmp_path / "english")
    with pytest.raises(InputError, match=r"pretraining.bilm: .*/english: no such directory and no published"):
        jobs(grid, pretraining={"bilm": place})
    (tmp_path / "english").mkdir()
    word, elmo = jobs(grid, pretraining={"bilm": place})
    assert (word.overrides, elmo.overrides) == ([], [f"init_from={place}"])
    found = jobs(grid, pretraining={"bilm": [place, "original-5.5B"]})
    assert names(found) == ["system=word", "bilm=english,system=elmo", "bilm=original-5.5B,system=elmo"]
    assert found[-1].overrides == ["init_from=original-5.5B"] and not needs(found[-1], found, PATH)
    with pytest.raises(InputError, match=r"pretraining.bilm: expected a mapping of overrides, or a run or"):
        jobs(grid, pretraining={"bilm": 3})


def test_the_files_of_a_data_set_are_of_the_jobs_that_choose_it_and_of_no_other(tmp_path: Path) -> None:
    (tmp_path / "files.yaml").write_text("sick: {train: a b.txt, columns: {text: s}}\ntrec: {train: t.txt}\n")
    files = read_data_files(tmp_path / "files.yaml")
    grid = {"study": {"pairs": {"data": "sick"}, "mine": {"data": "sick", "data.train": "mine"}, "other": {}}}
    plan = read_plan(base={}, grid=grid, pretraining={"bilm": {"data": "trec"}}, given=[], data_files=files)
    bilm, *found = jobs_of(plan, PATH)
    assert set(bilm.overrides) == {"data=trec", "data.train=t.txt"}
    assert [set(job.overrides) for job in found] == [
        {"data=sick", "data.train='a b.txt'", "data.columns.text=s"},
        {"data=sick", "data.train=mine", "data.columns.text=s"},
        set(),
    ]


def test_jobs_start_from_a_checkpoint_of_a_pretraining_and_a_pretraining_from_another_one(
    tmp_path: Path,
) -> None:
    pretraining = {"bilm": {"data": "sotu"}, "more": {"data": "trec", "init_from": "pretraining/bilm"}}
    places = ["pretraining/bilm/checkpoints/at-0.1", "pretraining/more"]
    found = jobs({"init_from": places}, pretraining=pretraining)
    assert names(found)[2:] == ["init_from=at-0.1", "init_from=more"]
    bilm, more, early, _ = found
    assert bilm.overrides == ["data=sotu"]
    assert more.overrides == ["data=trec", "init_from=runs/x/pretraining/bilm"]
    assert early.overrides[-1] == "init_from=runs/x/pretraining/bilm/checkpoints/at-0.1"
    assert [needs(job, found, PATH) for job in found] == [
        [],
        ["pretraining/bilm"],
        ["pretraining/bilm"],
        ["pretraining/more"],
    ]
    more, early, late = jobs({"init_from": places}, pretraining={**pretraining, "bilm": str(tmp_path)})
    assert more.overrides[-1] == f"init_from={tmp_path}"
    assert early.overrides == [f"init_from={tmp_path}/checkpoints/at-0.1"]
    assert not needs(early, [more, early, late], PATH)
    with pytest.raises(
        InputError, match=r"pretraining\.more\.init_from: stands for 2 pretrainings; name one"
    ):
        jobs({}, pretraining={**pretraining, "bilm": {"seed": [1, 2]}})


@pytest.mark.parametrize(
    ("grid", "given", "line"),
    [
        ({"seed": [1, 1]}, (), "seed=1: 2 jobs have this name; leave out what is there twice, or name the"),
        ({"s": {"a": {"head": "cnn"}, "b": {"head": "cnn"}}}, (), "s=b: is the same run as s=a; leave one"),
        ({"seed": []}, (), "grid.seed: has no value"),
        ({"trainer": {"max_steps": [1, 2]}}, (), "grid.trainer.max_steps: expected a mapping of overrides"),
        ([{"seed": [1]}, 3], (), "grid[1]: expected a mapping of keys to values, got 3"),
        ({"lr": "interval(0,1)"}, (), "lr=interval(0,1): has no list of values, which a sweep needs"),
        ({"seed": [1]}, ("seed=choice(",), "seed=choice(: cannot be read; "),
        (
            {"init_from": ["pretraining/x"]},
            (),
            "init_from: pretraining/x: not among the sweep's pretrainings",
        ),
    ],
)
def test_a_fault_of_a_grid_is_one_line(grid: Any, given: tuple[str, ...], line: str) -> None:
    with pytest.raises(InputError) as caught:
        jobs(grid, *given)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        "a b",
        "it's",
        "a\\",
        "a\\'b",
        "x=1,2",
        "1",
        "true",
        "",
        "${x}",
        1e-5,
        3,
        None,
        True,
        [1, "a,b"],
        {"a": "b c"},
    ],
)
def test_a_value_is_written_as_hydra_reads_it(value: Any) -> None:
    assert read_value(value_text(value)) == value
    assert type(read_value(value_text(value))) is type(value)
