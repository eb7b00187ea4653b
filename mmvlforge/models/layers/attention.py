"""Multi-head attention through PyTorch's fused kernels."""

import torch.nn.functional as F
from torch import Tensor, nn


def init_linear(linear: nn.Linear, gain: float = 1.0) -> nn.Linear:
    """Xavier initialisation, in place: unlike BERT's fixed deviation of 0.02 it suits any width."""
    nn.init.xavier_normal_(linear.weight, gain)
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)
    return linear


class Attention(nn.Module):
    """Multi-head attention, Softmax(QKᵀ/√D)V (Eq. 2 of the manipulation paper), by scaled_dot_product_attention.

    Args:
        embed_dims: Channels of queries and output.
        num_heads: Attention heads; must divide ``embed_dims``.
        memory_dims: Channels of keys and values before projection; None for ``embed_dims``.
        attn_drop: Dropout on the attention weights.
        out_gain: Gain of the output map's initialisation.

    Raises:
        ValueError: ``num_heads`` does not divide ``embed_dims``.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        memory_dims: int | None = None,
        attn_drop: float = 0.0,
        out_gain: float = 1.0,
    ) -> None:
        super().__init__()
        if embed_dims % num_heads:
            raise ValueError(f'embed_dims {embed_dims} must be a multiple of num_heads {num_heads}')
        memory_dims = memory_dims or embed_dims
        self.num_heads = num_heads
        self.attn_drop = attn_drop
        self.query = init_linear(nn.Linear(embed_dims, embed_dims))
        self.key = init_linear(nn.Linear(memory_dims, embed_dims))
        self.value = init_linear(nn.Linear(memory_dims, embed_dims))
        self.out = init_linear(nn.Linear(embed_dims, embed_dims), out_gain)

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        mask: Tensor | None = None,
        return_weights: bool = False,
        causal: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Let ``x`` attend to ``memory``.

        Args:
            x: Queries ``(B, N, C)``.
            memory: Keys and values ``(B, M, C')``.
            mask: True at the memory positions to look at, bool ``(B, M)``; at least one a row. None looks at all.
            return_weights: Return the attention weights ``(B, heads, N, M)`` too. They are then worked out step by
                step, without dropout, and have gradients: for pictures, not for training.
            causal: Each query looks at the memory up to its own position. It stands for a mask: padding at the end is
                then seen by padding alone.

        Returns:
            ``(B, N, C)``.

        Raises:
            ValueError: ``causal`` together with a mask or ``return_weights``.
        """
        if causal and (mask is not None or return_weights):
            raise ValueError('causal attention takes neither a mask nor return_weights')

        def split(t: Tensor) -> Tensor:  # (B, L, C) -> (B, heads, L, C / heads)
            return t.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

        query, key, value = split(self.query(x)), split(self.key(memory)), split(self.value(memory))
        mask = None if mask is None else mask[:, None, None]
        if return_weights:
            scores = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5
            weights = (scores if mask is None else scores.masked_fill(~mask, float('-inf'))).softmax(dim=-1)
            return self.out((weights @ value).transpose(1, 2).flatten(2)), weights
        dropout = self.attn_drop if self.training else 0.0
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout, is_causal=causal)
        return self.out(out.transpose(1, 2).flatten(2))
