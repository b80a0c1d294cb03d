"""Golden losses of seeded tiny runs: they prove that a change of structure changed nothing that is computed.

`PYTHONPATH=.:tests/support python tests/test_golden_losses.py` writes `tests/data/golden_losses.json` anew,
which is right only after a change that is meant to change what is computed.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import pytest
from tiny_runs import RUNS, figures_of, write_data

GOLDEN_PATH = Path(__file__).parent / "data" / "golden_losses.json"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize("name", RUNS)
def test_a_seeded_run_has_the_losses_that_it_always_had(
    name: str, files: dict[str, Path], tmp_path: Path
) -> None:
    golden = json.loads(GOLDEN_PATH.read_text())[name]
    found = figures_of(name, tmp_path, files)
    assert set(golden) <= set(found)
    for key, values in golden.items():
        assert found[key] == pytest.approx(values, rel=2e-4, abs=1e-6), key


def write_golden() -> None:
    """Make the figures anew."""
    with tempfile.TemporaryDirectory() as scratch:
        files = write_data(Path(scratch))
        golden = {name: figures_of(name, Path(scratch), files) for name in RUNS}
    GOLDEN_PATH.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(write_golden())
