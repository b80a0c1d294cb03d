"""The command and its outputs: terminal, Markdown, CSV, LaTeX, JSON, and the paragraphs of checklists."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from made_runs import write_run
from tiny_runs import arguments_of, write_data

from experiments import train
from experiments.compare.__main__ import run
from experiments.compare.build import Wishes, compare
from experiments.compare.reading import read_runs, read_sweep_runs
from experiments.compare.tables.checklist import checklist
from experiments.compare.tables.files import write_files
from experiments.compare.tables.latex import escaped, latex
from experiments.compare.tables.scores import best_of
from experiments.compare.tables.text import markdown
from experiments.config.command import run_command
from experiments.sweep.record import JobRecord, SweepRecord, write_sweep

SCORES = {"word": [80.1, 81.0, 79.4], "elmo": [84.0, 85.1, 84.4], "char_cnn": [80.0, 80.8, 79.9]}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three encoders by three seeds, of which one is clearly better than both others."""
    path = tmp_path_factory.mktemp("runs")
    for encoder, scores in SCORES.items():
        for seed, score in enumerate(scores, 1):
            right = [100.0] * round(score) + [0.0] * (100 - round(score))
            write_run(path / f"{encoder}-{seed}", score, examples=right, encoder=encoder, seed=seed)
    return path


def test_the_command_prints_both_claims_each_under_its_own_name(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([f"runs=[{runs}/*]", "difference=1.0"]) == 0
    printed = capsys.readouterr().out
    groups, retrained, examples = printed.split("\n\n")[:3]
    assert "84.50 ± 1.38" in groups and groups.startswith("test/accuracy, higher is better")
    assert retrained.startswith("The method, retrained") and "elmo - word" in retrained
    assert "runs needed" in retrained and "paired t test over 3 pairs" in retrained
    assert examples.startswith("These models, on new examples") and "runs needed" not in examples


def test_the_tables_of_finished_runs_need_no_torch(runs: Path) -> None:
    program = f"""
import sys
from experiments import diff
from experiments.compare.__main__ import run
assert run(["runs=[{runs}/*]"]) == 0
sys.argv = ["diff", "run_a={runs}/elmo-1", "run_b={runs}/word-1"]
assert diff.command() == 0
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def output(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of the command, with W&B offline."""
    path = tmp_path_factory.mktemp("output") / "report"
    assert run([f"runs=[{runs}/*]", f"output={path}", "logger=offline", "logger.project=p"]) == 0
    return path


def test_the_same_runs_give_the_same_files(runs: Path, output: Path, tmp_path: Path) -> None:
    write_files(compare(read_runs([f"{runs}/*"]), Wishes()), tmp_path)
    names = {"comparison.md", "comparison.csv", "comparison.tex", "comparison.json", "runs.csv"}
    assert {path.name for path in tmp_path.iterdir()} == names
    for name in names:
        assert (tmp_path / name).read_bytes() == (output / name).read_bytes()


def test_the_files_have_a_row_for_each_group_and_each_run(runs: Path, output: Path) -> None:
    with (output / "comparison.csv").open(newline="") as file:
        groups = list(csv.DictReader(file))
    assert [row["encoder"] for row in groups] == ["char_cnn", "elmo", "word"]
    assert float(groups[1]["test/accuracy"]) == pytest.approx(84.5) and groups[1]["chosen on dev"] == "True"
    assert float(groups[1]["test/accuracy low"]) < 84.5 < float(groups[1]["test/accuracy high"])
    with (output / "runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9 and {row["seed"] for row in rows} == {"1", "2", "3"}
    stored = json.loads((output / "comparison.json").read_text())
    assert stored["claims"][0]["retrained"]["design"] and stored["groups"][0]["runs"][0].startswith(str(runs))
    assert "| encoder | n |" in (output / "comparison.md").read_text()


def test_pictures_and_a_run_of_wandb_lie_beside_the_files(output: Path) -> None:
    assert {".png", ".pdf"} == {path.suffix for path in (output / "figures").iterdir()}
    assert (output / "report.html").is_file()
    (logged,) = (output / "wandb").glob("offline-run-*/run-*.wandb")
    tables = list((output / "wandb").glob("offline-run-*/files/media/table/*.table.json"))
    assert {path.name.split("_")[0] for path in tables} >= {"groups", "retrained", "new"}
    (groups,) = (json.loads(path.read_text()) for path in tables if path.name.startswith("groups"))
    assert groups["columns"][:3] == ["group", "encoder", "n"] and groups["data"][1][0] == "elmo"
    assert logged.stat().st_size > 0


def test_bold_in_latex_is_what_the_test_found_better_than_every_other(runs: Path) -> None:
    comparison = compare(read_runs([f"{runs}/*"]), Wishes())
    assert {comparison.groups[place].label for place in best_of(comparison)} == {"elmo"}
    text = latex(comparison)
    assert text.count("\\textbf") == 1 and "elmo & 3 & \\textbf{84.50 $\\pm$ 1.38}" in text
    assert (
        "char\\_cnn" in text and "\\toprule" in text and "p \\textless{} 0.05 after Holm's correction" in text
    )
    against = compare(read_runs([f"{runs}/*"]), Wishes(baseline="word"))
    assert best_of(against) == set() and "textbf" not in latex(against)


def test_without_a_found_difference_nothing_is_bold(tmp_path: Path) -> None:
    for encoder, scores in {"word": [80.0, 82.0, 81.0], "elmo": [81.0, 80.5, 82.5]}.items():
        for seed, score in enumerate(scores):
            write_run(tmp_path / f"{encoder}-{seed}", score, encoder=encoder, seed=seed)
    assert "textbf" not in latex(compare(read_runs([f"{tmp_path}/*"]), Wishes()))


def test_with_several_data_sets_latex_has_a_column_for_each(tmp_path: Path) -> None:
    for data in ("trec", "sst2"):
        for encoder in ("word", "elmo"):
            write_run(tmp_path / f"{data}-{encoder}", 80.0, data=data, encoder=encoder)
    text = latex(compare(read_runs([f"{tmp_path}/*"]), Wishes(by=["encoder", "data"])))
    assert "system & sst2 & trec" in text and "elmo & 80.00 & 80.00" in text


def test_signs_of_latex_are_escaped() -> None:
    assert (
        escaped("a_b & 5% <x>~\\")
        == r"a\_b \& 5\% \textless{}x\textgreater{}\textasciitilde{}\textbackslash{}"
    )


def test_markdown_keeps_bars_of_labels_within_their_cells(tmp_path: Path) -> None:
    for number, label in enumerate(("a|b", "c")):
        write_run(tmp_path / str(number), 80.0, init_from=label)
    assert "| a\\|b | 1 |" in markdown(compare(read_runs([f"{tmp_path}/*"]), Wishes()))


@pytest.mark.parametrize("kind", ["acl", "neurips"])
def test_a_checklists_paragraphs_are_made_of_stored_facts(tmp_path: Path, kind: str) -> None:
    jobs = []
    for encoder, scores in SCORES.items():
        for seed, score in enumerate(scores, 1):
            write_run(tmp_path / f"{encoder},{seed}", score, encoder=encoder, seed=seed)
            jobs.append(JobRecord(f"{encoder},{seed}", {"encoder": encoder, "seed": seed}, []))
    write_sweep(tmp_path, SweepRecord("s", "sweep", jobs, question="Does it help?"))
    text = checklist(compare(read_sweep_runs(tmp_path), Wishes()), kind)
    for fact in (
        "900 trained and 100 frozen parameters",
        "One run takes 72 seconds",
        "0.18 device-hours",
        "Made-up CPU (1 thread), 9 runs",
        "Does it help?",
        "Search space: encoder: word, elmo, char_cnn; seed: 1, 2, 3.",
        "best dev/accuracy was kept",
        "over 3 independent repetitions",
        "Student's t",
        "paired t test over 3 pairs",
        "Holm's correction over 3 pairs",
        "torch 2.13.0",
        "Commit 0123456789abcdef",
    ):
        assert fact in text, fact
    assert {"acl": "C3 (", "neurips": "(item 7)"}[kind] in text


@pytest.mark.parametrize("kind", ["acl", "neurips"])
def test_of_a_study_the_trial_best_on_dev_is_reported_without_a_test(tmp_path: Path, kind: str) -> None:
    jobs = []
    for number, dev in enumerate((70.0, 80.0)):
        write_run(tmp_path / str(number), dev - 1, dev=dev, optimizer__learning_rate=0.1 * (number + 1))
        axes = {"optimizer.learning_rate": 0.1 * (number + 1)}
        jobs.append(JobRecord(str(number), axes, [], state="complete", value=dev))
    write_sweep(tmp_path, SweepRecord("lr", "study", jobs))
    comparison = compare(read_sweep_runs(tmp_path), Wishes())
    assert "all runs & 2 & 79.00 & 80.00" in latex(comparison)
    assert "of the trial that is best on dev" in markdown(comparison)
    text = checklist(comparison, kind)
    assert "2 trials were tried. Search space: optimizer.learning_rate: 0.1, 0.2." in text
    assert "no error bars and no test" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "runs: missing; give a value, such as runs=['runs/*'], or sweep=DIR, or study=DIR"),
        (
            ["runs=[a]", "sweep=b"],
            "sweep: give one of runs=[globs], sweep=DIR and study=DIR; got runs and sweep",
        ),
        (["runs=[nowhere/*]"], "nowhere/*: nothing is there"),
        (["sweep=nowhere"], "nowhere: no sweep or study: it has no sweep.json"),
        (["runs=[a]", "by=[seed]"], "by: seed is in over as well"),
        (["runs=[a]", "difference=0"], "difference: expected more than 0"),
        (["runs=[a]", "logger=offline"], "logger: the files of W&B lie in the output's directory"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(message) and printed.err.count("\n") == 1 and printed.out == ""


def test_runs_that_were_really_trained_are_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = write_data(tmp_path)
    for seed in (1, 2):
        for size in (4, 8):
            path = tmp_path / "runs" / f"{size}-{seed}"
            arguments = arguments_of("text_classification, words", path, files)
            arguments += [f"encoder.size={size}", f"seed={seed}", "trainer.max_steps=2"]
            assert run_command(train.main, config_name="train", arguments=arguments) == 0
    capsys.readouterr()
    assert run([f"runs=[{tmp_path}/runs/*]", "checklist=acl"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("test/accuracy, higher is better: mean over seed\nencoder.size  n")
    assert "size=4 - size=8" in printed and "paired t test over 2 pairs of runs" in printed
    assert (
        "These models, on new examples" in printed and "approximate randomisation over 12 examples" in printed
    )
    assert "C1 (parameters, budget, infrastructure). The models have" in printed
