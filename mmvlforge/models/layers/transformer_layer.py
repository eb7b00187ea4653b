"""The one transformer layer: self-attention, optional cross-attention, feed-forward; and its pre-norm variant."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmvlforge.models.layers.attention import Attention, init_linear


class TransformerLayer(nn.Module):
    """Post-norm transformer layer as in BERT, with cross-attention to another modality between its two halves.

    x = LN(x + SelfAttention(x)); x = LN(x + CrossAttention(x, memory)); x = LN(x + FFN(x)). It is the layer of METER's
    and this paper's modality interaction (Eq. 2-3) and, since the cross-attention is passed over without a memory, of
    ViLEM's text encoder.

    The gains scale the last map of an attention at the start, where no pre-trained weights replace it. Self-attention
    starts as a whisper, so that tokens keep their difference; but the other modality is heard from the first step, for
    what a token and a picture mean together cannot be learnt otherwise.

    Args:
        embed_dims: Channels C.
        num_heads: Attention heads.
        ffn_dims: Hidden channels of the feed-forward part.
        cross_attention: Whether the layer owns a cross-attention.
        memory_dims: Channels of the memory; None for ``embed_dims``.
        drop: Dropout after each part.
        attn_drop: Dropout on the attention weights.
        norm_eps: Epsilon of the layer norms. BERT's is 1e-12, RoBERTa's 1e-5.
        residual_gain: Gain of the self-attention's last map.
        cross_gain: Gain of the cross-attention's last map.
        with_cp: Recompute the layer in the backward pass (gradient checkpointing): less memory, more time.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        ffn_dims: int,
        cross_attention: bool = False,
        memory_dims: int | None = None,
        drop: float = 0.1,
        attn_drop: float = 0.1,
        norm_eps: float = 1e-12,
        residual_gain: float = 0.3,
        cross_gain: float = 1.5,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.with_cp = with_cp
        self.self_attn = Attention(embed_dims, num_heads, attn_drop=attn_drop, out_gain=residual_gain)
        self.self_norm = nn.LayerNorm(embed_dims, eps=norm_eps)
        if cross_attention:
            self.cross_attn = Attention(embed_dims, num_heads, memory_dims, attn_drop, cross_gain)
            self.cross_norm = nn.LayerNorm(embed_dims, eps=norm_eps)
        self.fc1 = init_linear(nn.Linear(embed_dims, ffn_dims))
        self.fc2 = init_linear(nn.Linear(ffn_dims, embed_dims))
        self.ffn_norm = nn.LayerNorm(embed_dims, eps=norm_eps)
        self.drop = nn.Dropout(drop)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        memory: Tensor | None = None,
        memory_mask: Tensor | None = None,
        return_attention: bool = False,
        causal: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Run the layer.

        Args:
            x: Tokens ``(B, N, C)``.
            mask: True at the real tokens of ``x``, bool ``(B, N)``; None if all are.
            memory: Tokens of the other modality ``(B, M, C')``; None leaves the cross-attention out.
            memory_mask: True at the real tokens of ``memory``, bool ``(B, M)``; None if all are.
            return_attention: Return the weights of the cross-attention ``(B, heads, N, M)`` too; needs a memory.
            causal: Each token reads itself and those before it, as in Attention; takes no ``mask``.

        Returns:
            ``(B, N, C)``.
        """
        if self.with_cp and self.training:
            return checkpoint(
                self._forward, x, mask, memory, memory_mask, return_attention, causal, use_reentrant=False
            )
        return self._forward(x, mask, memory, memory_mask, return_attention, causal)

    def _forward(self, x, mask, memory, memory_mask, return_attention, causal):
        x = self.self_norm(x + self.drop(self.self_attn(x, x, mask, causal=causal)))
        weights = None
        if memory is not None:
            heard = self.cross_attn(x, memory, memory_mask, return_attention)
            if return_attention:
                heard, weights = heard
            x = self.cross_norm(x + self.drop(heard))
        x = self.ffn_norm(x + self.drop(self.fc2(F.gelu(self.fc1(x)))))
        return (x, weights) if return_attention else x


def quick_gelu(x: Tensor) -> Tensor:
    """x σ(1.702 x), OpenAI's approximation of GELU, with which its CLIP was trained."""
    return x * torch.sigmoid(1.702 * x)


def gelu_tanh(x: Tensor) -> Tensor:
    """GELU by its tanh formula, SigLIP's."""
    return F.gelu(x, approximate='tanh')


# Under the names that Hugging Face's configs have for them.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = dict(
    gelu=F.gelu, quick_gelu=quick_gelu, gelu_pytorch_tanh=gelu_tanh
)


class PreNormLayer(TransformerLayer):
    """The same layer with its norms before its parts, as in the text towers of CLIP and SigLIP.

    x = x + SelfAttention(LN(x)); x = x + CrossAttention(LN(x), LN(memory)); x = x + FFN(LN(x)). What such a layer hands
    on is not normalised. Nor are the levels of a pre-norm image tower, so that the memory has a norm of its own.

    Args:
        embed_dims: As in TransformerLayer, like all that is not named here.
        num_heads: As there.
        ffn_dims: As there.
        memory_dims: As there.
        norm_eps: As there. CLIP's is 1e-5, SigLIP's 1e-6.
        activation: Of the feed-forward part, one of ``ACTIVATIONS``.
        **kwargs: As there.

    Raises:
        ValueError: Another ``activation``.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        ffn_dims: int,
        memory_dims: int | None = None,
        norm_eps: float = 1e-5,
        activation: str = 'gelu',
        **kwargs,
    ) -> None:
        super().__init__(embed_dims, num_heads, ffn_dims, memory_dims=memory_dims, norm_eps=norm_eps, **kwargs)
        if activation not in ACTIVATIONS:
            raise ValueError(f'activation must be one of {", ".join(ACTIVATIONS)}, got {activation!r}')
        self.activation = ACTIVATIONS[activation]
        if hasattr(self, 'cross_attn'):
            self.memory_norm = nn.LayerNorm(memory_dims or embed_dims, eps=norm_eps)

    def _forward(self, x, mask, memory, memory_mask, return_attention, causal):
        normed = self.self_norm(x)
        x = x + self.drop(self.self_attn(normed, normed, mask, causal=causal))
        weights = None
        if memory is not None:
            heard = self.cross_attn(self.cross_norm(x), self.memory_norm(memory), memory_mask, return_attention)
            if return_attention:
                heard, weights = heard
            x = x + self.drop(heard)
        x = x + self.drop(self.fc2(self.activation(self.fc1(self.ffn_norm(x)))))
        return (x, weights) if return_attention else x
