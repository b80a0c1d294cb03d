"""`Elmo` as a part of a model: against the oracle, with AllenNLP's options, and its gradients.

Shape legend: L layers with the context-free one as layer 0, B sentences, W words, C characters, P projection.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import oracle
import pytest
import torch
from torch import Tensor, nn

from elmo import Elmo, ElmoEmbedder
from elmo.bilm.char_cnn_lstm import CharCnnLstm
from elmo.bilm.mixes import ScalarMix
from elmo.bilm.word_lstm import WordLstm
from elmo.errors import InputError
from elmo.inference.module import batch_to_ids
from elmo.io.model_directory import save_model
from elmo.io.official import write_official
from elmo.text.vocabulary import Vocabulary

SIZES: dict[str, Any] = {
    "character_embedding_size": 4,
    "filters": [[1, 4], [2, 4], [3, 8]],
    "num_highways": 1,
    "activation": "tanh",
    "cell_size": 10,
    "projection_size": 6,
    "num_layers": 2,
    "cell_clip": 3.0,
    "projection_clip": 3.0,
    "skip_connected": True,
    "dropout": 0.5,  # that it stays off is easily seen
}
L, SIZE = 3, 12
OPTIONS = oracle.Options(activation="tanh", cell_clip=3.0, projection_clip=3.0, skip_connected=True)
SENTENCES = [["The", "cat", "sat", "on", "the", "mat", "."], [], ["One"], ["z" * 60, "naïve", "", "😀"]]
LENGTHS = [7, 0, 1, 4]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "model"
    encoder = CharCnnLstm(**SIZES)
    oracle.widen(encoder, std=0.5)
    config = {"encoder": {"type": "char_cnn_lstm", **SIZES}}
    save_model(path, config=config, model=nn.ModuleDict({"encoder": encoder}), vocabulary=None)
    return path


@pytest.fixture(scope="module")
def marked(model: Path) -> list[np.ndarray]:
    """The oracle's layers of each sentence with its markers, (L, words + 2, 2 P)."""
    weights = oracle.official_weights(Elmo(model).bilm)
    return [oracle.encode(words, weights, OPTIONS)[0] for words in SENTENCES]


def padded_mean(
    marked: list[np.ndarray], *, boundaries_kept: bool, normed_with: str | None = None
) -> np.ndarray:
    """The mean of all layers in one array, zero beyond each sentence; each layer normalised on request."""
    with_words = [vectors for vectors in marked if vectors.shape[1] > 2]
    extra = 2 if boundaries_kept else 0
    padded = np.zeros((len(marked), max(LENGTHS) + extra, SIZE))
    cut = slice(None) if normed_with == "with_markers" else slice(1, -1)
    counted = np.concatenate([vectors[:, cut] for vectors in with_words], axis=1)
    means, spreads = counted.mean(axis=(1, 2)), np.sqrt(counted.var(axis=(1, 2)) + 1e-12)
    for row, vectors in enumerate(marked):
        if vectors.shape[1] > 2:
            if normed_with is not None:
                vectors = (vectors - means[:, None, None]) / spreads[:, None, None]
            kept = vectors if boundaries_kept else vectors[:, 1:-1]
            padded[row, : kept.shape[1]] = kept.mean(axis=0)
    return padded


def assert_near(actual: Tensor, wanted: np.ndarray) -> None:
    assert actual.shape == wanted.shape
    np.testing.assert_allclose(actual.detach().numpy(), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("boundaries_kept", [False, True])
@pytest.mark.parametrize("normed_with", [None, "with_markers", "without_markers"])
@pytest.mark.parametrize("inputs", [SENTENCES, batch_to_ids(SENTENCES)], ids=["words", "characters"])
def test_representations_are_the_oracles(
    inputs: Any, normed_with: str | None, boundaries_kept: bool, model: Path, marked: list[np.ndarray]
) -> None:
    module = Elmo(
        model,
        num_output_representations=2,
        do_layer_norm=normed_with is not None,
        dropout=0.0,
        keep_sentence_boundaries=boundaries_kept,
        layer_norm_statistics=normed_with or "with_markers",
    ).train()
    output = module(inputs)
    wanted = padded_mean(marked, boundaries_kept=boundaries_kept, normed_with=normed_with)
    assert len(output["elmo_representations"]) == 2
    for representation in output["elmo_representations"]:
        assert_near(representation, wanted)
    lengths = [n + 2 if n and boundaries_kept else n for n in LENGTHS]
    assert output["mask"].dtype == torch.bool
    assert output["mask"].tolist() == [[w < n for w in range(wanted.shape[1])] for n in lengths]


def test_characters_are_those_of_allennlp() -> None:
    ids_BWC = batch_to_ids([["é", ""], ["x" * 60]])
    assert ids_BWC.shape == (2, 2, 50) and ids_BWC.dtype == torch.long
    assert ids_BWC[0, 0].tolist() == [259, 0xC3 + 1, 0xA9 + 1, 260, *[261] * 46]
    assert ids_BWC[0, 1].tolist() == [259, 260, *[261] * 48]
    assert ids_BWC[1, 0].tolist() == [259, *[ord("x") + 1] * 48, 260]
    assert not ids_BWC[1, 1].any()


def test_given_mix_weights_are_not_trained(model: Path) -> None:
    module = Elmo(model, scalar_mix_parameters=[-9e10, 1, -9e10], dropout=0.0)
    layer = ElmoEmbedder(model, device="cpu").embed_sentences(SENTENCES, layers=1)
    assert_near(module(SENTENCES)["elmo_representations"][0], np.asarray(layer))
    assert not any(parameter.requires_grad for parameter in module.parameters())


def test_the_mix_learns_and_the_encoder_only_when_asked(model: Path) -> None:
    for trained in (False, True):
        module = Elmo(model, num_output_representations=2, requires_grad=trained, dropout=0.0)
        first, second = module(batch_to_ids(SENTENCES))["elmo_representations"]
        (first.square().sum() + second.sum()).backward()
        for mix in module.mixes:
            assert isinstance(mix, ScalarMix) and mix.scalars.grad is not None and mix.scalars.grad.any()
        for name, parameter in module.bilm.named_parameters():
            moved = parameter.grad is not None and bool(parameter.grad.any())
            assert moved == trained, name


def test_gradients_of_the_encoder_are_those_of_finite_differences(model: Path) -> None:
    module = Elmo(model, requires_grad=True, dropout=0.0).double()
    weight = torch.randn(SIZE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def loss() -> Tensor:
        result: Tensor = (module(SENTENCES)["elmo_representations"][0] @ weight).sum()
        return result

    loss().backward()  # type: ignore[no-untyped-call]
    for name in ("words.embedding", "context.layers.0.kernel", "context.layers.1.projection"):
        parameter = module.bilm.get_parameter(name)
        assert parameter.grad is not None
        place = int(parameter.grad.abs().argmax())
        values = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                parameter.view(-1)[place] += step
                values.append(loss().item())
                parameter.view(-1)[place] -= step
        assert parameter.grad.view(-1)[place].item() == pytest.approx(
            (values[0] - values[1]) / 2e-6, rel=1e-4
        )


def test_dropout_is_on_the_representations_alone(model: Path) -> None:
    module = Elmo(model, num_output_representations=2, dropout=0.5, requires_grad=True)
    whole = module.eval()(SENTENCES)["elmo_representations"][0]
    torch.manual_seed(0)
    first, second = module.train()(SENTENCES)["elmo_representations"]
    assert not module.bilm.training and not torch.equal(first, second)
    for dropped in (first, second):
        kept = dropped != 0
        torch.testing.assert_close(dropped[kept], 2 * whole[kept])
        assert 0.3 < kept.double().sum() / (whole != 0).sum() < 0.7


def test_allennlps_order_of_arguments_is_understood(model: Path, tmp_path: Path) -> None:
    files = tmp_path / "options.json", tmp_path / "weights.hdf5"
    write_official(Elmo(model).bilm, *files)
    module = Elmo(*files, 1, dropout=0)
    assert_near(
        module(SENTENCES)["elmo_representations"][0],
        np.asarray(ElmoEmbedder(model, device="cpu").embed_sentences(SENTENCES)),
    )
    assert (module.num_layers, module.size) == (L, SIZE)


def test_more_axes_before_the_words_are_kept(model: Path) -> None:
    module = Elmo(model, dropout=0.0)
    ids_BWC = batch_to_ids(SENTENCES)
    flat, stacked = module(ids_BWC), module(ids_BWC.view(2, 1, 2, 7, 50))
    assert stacked["mask"].shape == (2, 1, 2, 7)
    assert torch.equal(stacked["elmo_representations"][0].view(4, 7, SIZE), flat["elmo_representations"][0])


@pytest.mark.parametrize("inputs", [[], [[]], torch.zeros(0, 3, 50).long(), torch.zeros(2, 0, 50).long()])
@pytest.mark.parametrize("normed", [False, True])
def test_nothing_gives_nothing(inputs: Any, normed: bool, model: Path) -> None:
    output = Elmo(model, do_layer_norm=normed)(inputs)
    shape = output["mask"].shape
    assert shape == (len(inputs), inputs.shape[1] if isinstance(inputs, Tensor) else 0)
    assert output["elmo_representations"][0].shape == (*shape, SIZE)


def test_a_model_trains_saves_and_loads_with_it(model: Path, tmp_path: Path) -> None:
    def build() -> nn.ModuleDict:
        return nn.ModuleDict({"elmo": Elmo(model, requires_grad=True, l2=0.01), "head": nn.Linear(SIZE, 2)})

    torch.manual_seed(0)
    trained, untrained = build(), build()
    optimizer = torch.optim.Adam(trained.parameters(), lr=0.01)
    labels = torch.tensor([0, 1, 0, 1])
    losses = []
    for _ in range(20):
        pooled = trained["elmo"](SENTENCES)["elmo_representations"][0].sum(dim=1)
        loss = nn.functional.cross_entropy(trained["head"](pooled), labels)
        elmo_module = trained["elmo"]
        assert isinstance(elmo_module, Elmo)
        optimizer.zero_grad()
        (loss + elmo_module.penalty()).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]

    torch.save(trained.state_dict(), tmp_path / "model.pt")
    untrained.load_state_dict(torch.load(tmp_path / "model.pt"))
    ours, theirs = (
        part.eval()["elmo"](SENTENCES)["elmo_representations"][0] for part in (trained, untrained)
    )
    assert torch.equal(ours, theirs)


def test_the_penalty_is_of_all_mixes(model: Path) -> None:
    module = Elmo(model, num_output_representations=2, scalar_mix_parameters=[1.0, 2.0, 3.0], l2=0.1)
    assert module.penalty().item() == pytest.approx(0.1 * 14 * 2)


def test_whole_words_have_no_characters(tmp_path: Path) -> None:
    vocabulary = Vocabulary(["<S>", "</S>", "<UNK>", "the", "cat"])
    names = ("cell_size", "projection_size", "num_layers", "cell_clip", "projection_clip", "skip_connected")
    sizes = {name: SIZES[name] for name in names}
    encoder = WordLstm(vocabulary=vocabulary, **sizes)
    oracle.widen(encoder, std=0.5)
    config = {"encoder": {"type": "word_lstm", **sizes}}
    parts = nn.ModuleDict({"encoder": encoder})
    save_model(tmp_path / "words", config=config, model=parts, vocabulary=vocabulary)
    module = Elmo(tmp_path / "words", dropout=0.0)
    wanted = ElmoEmbedder(tmp_path / "words", device="cpu").embed_sentences([["the", "dog"], ["cat"]])
    assert_near(module([["the", "dog"], ["cat"]])["elmo_representations"][0], np.asarray(wanted))
    with pytest.raises(InputError, match="this model reads whole words; give tokenized sentences"):
        module(batch_to_ids([["the"]]))


def changed(word: int, character: int, value: int) -> Tensor:
    ids_BWC = batch_to_ids([["The", "cat"], ["One"]])
    ids_BWC[0, word, character] = value
    return ids_BWC


WRONG_INPUTS: list[tuple[Any, str]] = [
    ("The cat", "sentences: expected a sequence of sentences"),
    (["The cat"], "sentences[0]: expected a sequence of words, got the string 'The cat'"),
    (None, "sentences: expected a sequence of sentences"),
    (torch.zeros(2, 3, 50), "expected whole numbers of shape (sentences, words, 50), got torch.float32 of"),
    (torch.zeros(2, 50).long(), "got torch.int64 of shape (2, 50)"),
    (torch.zeros(2, 3, 49).long(), "got torch.int64 of shape (2, 3, 49)"),
    (changed(0, 1, 262), "inputs: expected characters 0..261, got 0..262"),
    (changed(0, 1, -1), "inputs: expected characters 0..261, got -1..261"),
    (changed(0, 1, 0), "inputs: a character 0 within a word"),
    (
        batch_to_ids([["The", "cat"]]).flip(1).roll(1, 1) * torch.tensor([0, 1])[:, None],
        "inputs: a padded word",
    ),
]


@pytest.mark.parametrize(("inputs", "message"), WRONG_INPUTS)
def test_wrong_inputs_are_refused_in_one_line(inputs: Any, message: str, model: Path) -> None:
    with pytest.raises(InputError) as error:
        Elmo(model)(inputs)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_output_representations": 0}, "num_output_representations: expected at least 1, got 0"),
        ({"layer_norm_statistics": "with_marker"}, "unknown 'with_marker'; nearest: with_markers"),
        ({"scalar_mix_parameters": [1.0]}, "expected 3 numbers, one per layer, got [1.0]"),
        ({"dropout": 1.0}, "dropout: expected at least 0 and less than 1, got 1.0"),
    ],
)
def test_a_module_that_cannot_be_is_refused_in_one_line(
    arguments: dict[str, Any], message: str, model: Path
) -> None:
    with pytest.raises(InputError) as error:
        Elmo(model, **arguments)
    assert message in str(error.value) and "\n" not in str(error.value)


class Tagger(nn.Module):
    """A model of a user's own, with layers after ELMo."""

    def __init__(self, model: Path) -> None:
        super().__init__()
        self.elmo = Elmo(model, dropout=0.0)
        self.linear = nn.Linear(SIZE, 5)

    def forward(self, sentences: list[list[str]]) -> Tensor:
        return self.linear(torch.relu(self.elmo(sentences)["elmo_representations"][0]))


@pytest.mark.filterwarnings(
    "default:The .grad attribute of a Tensor that is not a leaf"
)  # the compiler's own
def test_a_compiled_model_gives_the_same_vectors_and_gradients(model: Path) -> None:
    tagger = Tagger(model)
    compiled = torch.compile(tagger, backend="aot_eager")
    for sentences in (SENTENCES, [["One"]], [["The", "cat"] * 20, []]):
        found = [
            (output, *torch.autograd.grad(output.sum(), (tagger.elmo.mixes[0].scalars, tagger.linear.weight)))
            for output in (compiled(sentences), tagger(sentences))
        ]
        torch.testing.assert_close(*found)
