"""Measures whether a command's memory grows with its input: the peak at a tenth of it and at the whole.

    PYTHONPATH=.:tests/support python -m campaigns.memory_growth DIRECTORY [CASE=NUMBER ...]

DIRECTORY keeps two small models, the inputs and the outputs. A case's number is that of its lines, or of its
megabytes; by default all cases run with those of `CASES`.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CASES = {
    "predict_lines": 100_000,
    "predict_text": 5,
    "predict_table": 100_000,
    "embed": 1_000_000,
    "score": 100_000,
}
SIZES = ["encoder.character_embedding_size=4", "encoder.filters=[[1,8],[2,8]]", "encoder.cell_size=16"]
SIZES += ["encoder.projection_size=8", "softmax=full"]
SHORT = ["trainer.max_steps=2", "trainer.max_minutes=null", "trainer.batch_size=32", "trainer.device=cpu"]
SHORT += ["trainer.num_threads=1", "logger=none", "logger.progress=none"]
FAST = ["device=cpu", "num_threads=1", "progress=none"]


def words(generator: random.Random, number: int) -> str:
    """Words of a Zipf-like distribution, with a full stop here and there."""
    numbers = (int(generator.paretovariate(0.7)) % 20_000 for _ in range(number))
    return " ".join(f"word{n}{'.' if n % 11 == 0 else ''}" for n in numbers)


def peak_bytes(command: Sequence[str]) -> int:
    """The largest resident memory of a command of `experiments`, in bytes."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    program = [sys.executable, "-m", *command]
    process = subprocess.Popen(program, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"{' '.join(command)}: status {status}"
    return usage.ru_maxrss * 1024


def make_models(path: Path) -> None:
    """Two runs of two steps: `bilm`, and `texts`, a classifier by the words' own vectors."""
    generator = random.Random(1)
    (path / "text.txt").write_text("".join(words(generator, 8) + "\n" for _ in range(2000)))
    rows = "".join(f"{words(generator, 8)}\t{n % 2}\n" for n in range(2000))
    (path / "texts.tsv").write_text(f"text\tlabel\n{rows}")
    common = [*SHORT, f"cache_dir={path / 'cache'}"]
    bilm = ["data=text", f"data.train={path / 'text.txt'}", "tokenizer=whitespace", *SIZES]
    texts = [
        "task=text_classification",
        "data=labelled_files",
        f"data.train={path / 'texts.tsv'}",
        "encoder=word",
    ]
    for name, arguments in (("bilm", bilm), ("texts", texts)):
        if not (path / name / "model").exists():
            shutil.rmtree(path / name, ignore_errors=True)
            peak_bytes(["experiments.train", *arguments, *common, f"output_dir={path / name}"])


def make_input(path: Path, case: str, number: int) -> Path:
    """The input of a case."""
    generator = random.Random(2)
    file = path / f"{case}-{number}{'.csv' if case == 'predict_table' else '.txt'}"
    with file.open("w") as stream:
        if case == "predict_text":
            size = 0
            while size < number * 100_000:  # tenths of a megabyte
                size += stream.write(words(generator, 20) + " ")
        elif case == "predict_table":
            stream.write("text,label\n")
            stream.writelines(f'"{words(generator, 8)}",x\n' for _ in range(number))
        else:
            stream.writelines(words(generator, 5) + "\n" for _ in range(number))
    return file


def command_of(path: Path, case: str, source: Path) -> list[str]:
    """The command of a case."""
    output = path / f"{source.stem}.out{'.h5' if case == 'embed' else ''}"
    output.unlink(missing_ok=True)
    files = [f"input={source}", f"output={output}"]
    if case == "embed":
        return ["experiments.embed", f"model={path / 'bilm'}", *files, *FAST]
    if case == "score":
        return ["experiments.score", f"run={path / 'bilm'}", *files, *FAST]
    return ["experiments.predict", f"run={path / 'texts'}", *files, *FAST]


def main(directory: str, chosen: dict[str, int]) -> None:
    """Measure the chosen cases and print a line for each."""
    path = Path(directory).resolve()
    path.mkdir(parents=True, exist_ok=True)
    make_models(path)
    for case, number in chosen.items():
        sizes = (number, 10 * number) if case == "predict_text" else (number // 10, number)
        peaks = [peak_bytes(command_of(path, case, make_input(path, case, size))) for size in sizes]
        tenth, whole = (peak / 2**20 for peak in peaks)
        print(
            f"{case}: {number:,}; {tenth:,.0f} MiB at a tenth, {whole:,.0f} MiB, {whole / tenth - 1:+.1%}",
            flush=True,
        )


if __name__ == "__main__":
    given = dict(argument.split("=") for argument in sys.argv[2:])
    main(sys.argv[1], {case: int(number) for case, number in given.items()} or CASES)
