"""Implicit manipulation queries (IMQ), Section 2.3 of the manipulation paper."""

import torch
from torch import Tensor, nn

from mmvlforge.models.layers.attention import Attention


class ImplicitQueries(nn.Module):
    """Learnable queries that read tokens: f = Attention(q, tokens, tokens) (Eq. 6).

    Queries that start near zero are one and the same: each takes the mean of the tokens, and those of real and of
    manipulated words must be torn apart before a word can be told from another. With a deviation of 1 they look at
    different tokens from the first step on.

    Args:
        dims: Channels C of queries and tokens.
        num_heads: Attention heads.
        num_queries: Queries Q.
        std: Standard deviation with which the queries start; the paper does not say.
        residual: LayerNorm(q + Attention(...)), as every attention of a transformer has it. Eq. 6 has neither: False
            is the equation to the letter.
    """

    def __init__(
        self, dims: int, num_heads: int, num_queries: int = 1, std: float = 1.0, residual: bool = False
    ) -> None:
        super().__init__()
        self.query = nn.Parameter(std * torch.randn(1, num_queries, dims))
        self.attention = Attention(dims, num_heads)
        self.norm = nn.LayerNorm(dims) if residual else None

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Read ``tokens`` ``(B, N, C)`` where ``mask`` ``(B, N)`` is True, everywhere without one: ``(B, Q, C)``."""
        query = self.query.expand(tokens.shape[0], -1, -1)
        read = self.attention(query, tokens, mask)
        return read if self.norm is None else self.norm(query + read)
