"""Exact algebra in the network: the same numbers from fewer multiplications."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_model import PASSBANDS, VOCABULARY, assert_same, make_model, make_objects
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from jpassed.nn.blocks import CrossBlock, attention, cheaper_merged, products
from jpassed.nn.kind_linear import KindLinear
from jpassed.tokens import build_requests

NAMES = ("flux:s1", "z", "logmstar", "ew_halpha", "flux:p2", "tau")


def plain_cross(block: CrossBlock, query, context, bias):
    """Cross-attention as it is written in papers: queries, keys, values, a last layer."""
    n = context.shape[0]
    q = block.q(block.norm_q(query)).unflatten(-1, (block.heads, -1)).transpose(1, 2)
    k, v = (
        block.kv(block.norm_kv(context)).unflatten(-1, (2, block.heads, -1)).permute(2, 0, 3, 1, 4)
    )
    y = attention(q.expand(n, -1, -1, -1), k, v, bias)
    return block.feed(query + block.out(y.transpose(1, 2).flatten(2)))


@settings(max_examples=25, deadline=None)
@given(
    objects=st.integers(1, 5),
    asked=st.integers(1, 24),
    tokens=st.integers(1, 9),
    hidden=st.sampled_from([None, "some", "first"]),
    shared=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_decoder_block_is_the_plain_one(objects, asked, tokens, hidden, shared, seed):
    torch.manual_seed(seed)
    block = CrossBlock(24, 3, 2.0).double()
    query = torch.randn(1 if shared else objects, asked, 24, dtype=torch.float64)
    context = torch.randn(objects, tokens, 24, dtype=torch.float64)
    bias = None
    if hidden is not None:
        present = torch.rand(objects, tokens) < 0.6
        present[:, 0 if hidden == "some" else -1] = True
        present[:, 0] &= hidden == "some" or tokens == 1
        bias = torch.zeros(objects, 1, 1, tokens, dtype=torch.float64)
        bias = bias.masked_fill(~present[:, None, None, :], -1e9)
    torch.testing.assert_close(
        block(query, context, bias), plain_cross(block, query, context, bias)
    )
    both = block._merged(block.norm_q(query).expand(objects, -1, -1), block.norm_kv(context), bias)
    expected = plain_cross(block, query, context, bias)
    torch.testing.assert_close(block.feed(query + both), expected)


def test_gradients_pass_through_merged_heads():
    torch.manual_seed(3)
    block = CrossBlock(24, 3, 2.0).double()
    query = torch.randn(4, 20, 24, dtype=torch.float64)
    context = torch.randn(4, 3, 24, dtype=torch.float64)
    assert cheaper_merged(20, 3, 24, 3)
    found = torch.autograd.grad(block(query, context, None).square().sum(), block.parameters())
    plain = torch.autograd.grad(
        plain_cross(block, query, context, None).square().sum(), block.parameters()
    )
    for one, other in zip(found, plain, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("asked", "tokens", "merged"),
    [(19, 4, True), (15, 4, True), (1, 4, False), (3, 4, False), (4, 4, True), (19, 30, False)],
)
def test_heads_are_merged_where_that_is_cheaper(asked, tokens, merged):
    """The rule agrees with multiplications that are counted."""
    assert cheaper_merged(asked, tokens, 192, 6) == merged
    block = CrossBlock(192, 6, 2.0).eval()
    query, context = torch.randn(2, asked, 192), torch.randn(2, tokens, 192)
    with torch.no_grad():
        with FlopCounterMode(display=False) as own:
            block(query, context, None)
        with FlopCounterMode(display=False) as plain:
            plain_cross(block, query, context, None)
    assert (own.get_total_flops() < plain.get_total_flops()) == merged
    assert own.get_total_flops() <= plain.get_total_flops()


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (1, 1), (6, 7)])
def test_scalar_products(shape):
    asked, tokens = shape
    query, key = torch.randn(2, 3, asked, 8), torch.randn(2, 3, tokens, 8)
    torch.testing.assert_close(products(query, key.mT), torch.einsum("bhrd,bhtd->bhrt", query, key))


def test_heads_behind_another_layer():
    """K (L x + l + added) + k, the layers one after the other."""
    torch.manual_seed(4)
    linear, before = KindLinear(7, 30, 5).double(), nn.Linear(12, 30).double()
    nn.init.normal_(linear.bias)
    kind = torch.tensor([4, 0, 4, 6])
    x, added = torch.randn(3, 4, 12).double(), torch.randn(3, 30).double()
    expected = linear_of((before(x) + added.unsqueeze(1)).double(), linear, kind)
    fold = linear.float().folded(before.float(), kind)
    x, added = x.float(), added.float()
    assert fold.inner.shape == (4, 12, 5) and fold.outer.shape == (30, 20)
    torch.testing.assert_close(fold(x, added).double(), expected, rtol=2e-5, atol=2e-5)
    assert linear.folded(before, kind[:0])(x[:, :0], added).shape == (3, 0, 5)


def linear_of(x, linear, kind):
    return torch.einsum("brw,rwp->brp", x, linear.weight[kind]) + linear.bias[kind]


@pytest.mark.parametrize("form", ["gaussian", "mixture", "flow", "student-t"])
def test_prepared_questions_change_nothing(form):
    redshift = "binned"
    model = make_model(dense_readout=True, head_real=form, head_redshift=redshift)
    for part in (model.dense.lift.weight, model.dense.lift.bias):
        nn.init.normal_(part, std=0.3)
    context = make_objects(9).context()
    requests = build_requests(NAMES, VOCABULARY, PASSBANDS)
    with torch.no_grad():
        whole = model(context, requests)
        assert_same(model(context, requests, None, model.prepare(requests)), whole, 0.0)
        encoded = model.encode(context)
        wide = model.dense.lift(model.decode(encoded, requests, context))
        unfolded = model.head((wide + encoded.dense.unsqueeze(1)).float(), requests.kind)
    torch.testing.assert_close(whole.parameters, unfolded, rtol=1e-4, atol=1e-4)
