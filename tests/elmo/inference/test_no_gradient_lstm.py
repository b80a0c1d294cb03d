"""The stack without a gradient computes what the trained one does."""

from __future__ import annotations

import pytest
import torch

from elmo.bilm.lstm import BiLstm
from elmo.inference.no_gradient_lstm import NoGradientLstm


@pytest.mark.parametrize("batch_sizes", [[1], [3, 3, 2, 1], [2000, 1500, 3]])
@pytest.mark.parametrize("projection_size", [4, 6])
@pytest.mark.parametrize("skip_connected", [True, False])
@torch.no_grad()
def test_it_equals_the_trained_stack(
    batch_sizes: list[int], projection_size: int, skip_connected: bool
) -> None:
    torch.manual_seed(1)
    bilstm = BiLstm(
        cell_size=6,
        projection_size=projection_size,
        num_layers=3,
        cell_clip=0.7,
        projection_clip=0.4 if projection_size == 4 else None,
        skip_connected=skip_connected,
        dropout=0.5,
    ).eval()
    for parameter in bilstm.parameters():
        torch.nn.init.normal_(parameter)
    vectors, num_tokens = torch.randn(5, projection_size), sum(batch_sizes)
    ids = torch.randint(5, (2, num_tokens))
    state = [torch.randn_like(part) for part in bilstm.zero_state(batch_sizes[0])]
    kept = [part.clone() for part in state]

    layers, last = NoGradientLstm(bilstm, dtype=torch.float32)(vectors, ids, batch_sizes, state)

    wanted_layers, wanted_last = bilstm(vectors, ids, batch_sizes, state)
    torch.testing.assert_close(layers, wanted_layers, rtol=1e-5, atol=3e-6)
    torch.testing.assert_close(last, wanted_last, rtol=1e-5, atol=3e-6)
    torch.testing.assert_close(state, kept, rtol=0, atol=0)


@torch.no_grad()
def test_low_precision_products_stay_close() -> None:
    torch.manual_seed(1)
    bilstm = BiLstm(
        cell_size=32,
        projection_size=16,
        num_layers=2,
        cell_clip=3.0,
        projection_clip=3.0,
        skip_connected=True,
        dropout=0.0,
    ).eval()
    vectors, ids, state = torch.randn(5, 16), torch.randint(5, (2, 9)), bilstm.zero_state(3)
    full, low = (
        NoGradientLstm(bilstm, dtype=dtype)(vectors, ids, [3, 3, 2, 1], state)[0][-1]
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert low.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(full.flatten(), low.flatten(), dim=0) > 0.999
