"""Products by oneDNN are those of torch, and where its operators fail, torch's are used."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F

from elmo.bilm.products import Product, linear, onednn_multiplies, padded, rounded


@pytest.fixture
def operators(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """For tests that change oneDNN's operators: what was found out about them is asked anew."""
    onednn_multiplies.cache_clear()
    yield monkeypatch
    onednn_multiplies.cache_clear()


def _product_is_right(dtype: torch.dtype) -> bool:
    x, weight = torch.randn(5, 3).to(dtype), torch.randn(3, 4).to(dtype)
    product = Product(weight)(x)
    return product.dtype == dtype and torch.allclose(product, x @ weight, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_onednns_operators_torchs_own_product_is_used(
    dtype: torch.dtype, operators: pytest.MonkeyPatch
) -> None:
    operators.setattr(torch.ops, "mkldnn", object())
    assert not onednn_multiplies(dtype)
    assert _product_is_right(dtype)


@pytest.mark.parametrize(
    "error", [RuntimeError("another schema, or no bfloat16 here"), TypeError("arguments")]
)
def test_operators_that_refuse_are_not_used(error: Exception, operators: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise error

    operators.setattr(torch.ops.mkldnn, "_reorder_linear_weight", refuse, raising=False)
    assert not onednn_multiplies(torch.bfloat16)
    assert _product_is_right(torch.bfloat16)


def test_operators_that_compute_something_else_are_not_used(operators: pytest.MonkeyPatch) -> None:
    def without_weight(x: torch.Tensor, weight: torch.Tensor, *_: object) -> torch.Tensor:
        return x.new_zeros(len(x), 4)

    operators.setattr(torch.ops.mkldnn, "_linear_pointwise", without_weight)
    assert not onednn_multiplies(torch.float32)
    assert _product_is_right(torch.float32)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN")
def test_onednns_operators_serve_in_this_version_of_torch() -> None:
    assert onednn_multiplies(torch.float32)
    assert _product_is_right(torch.float32)


def test_a_number_of_rows_grows_by_at_most_an_eighth_to_one_of_few() -> None:
    numbers = range(1, 5000)
    assert all(number <= rounded(number) <= max(number, 1.125 * number) for number in numbers)
    assert len({rounded(number) for number in numbers}) < 100
    rows = padded(torch.ones(33, 2))
    assert len(rows) == rounded(33) == 36 and rows.sum() == 66


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@torch.no_grad()
def test_a_product_with_a_weight_as_it_lies_is_that_of_torch(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(s, generator=generator).to(dtype) for s in ((5, 3), (2, 7, 3), (2, 7)))
    tolerance = 1e-2 if dtype == torch.bfloat16 else 1e-6
    torch.testing.assert_close(
        linear(x, weight[1], bias[1]), F.linear(x, weight[1], bias[1]), rtol=tolerance, atol=tolerance
    )
