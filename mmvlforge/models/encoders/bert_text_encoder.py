"""BERT as text encoder, with cross-attention in its first layers."""

from collections.abc import Sequence
from itertools import zip_longest

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmvlforge.models.layers import TransformerLayer
from mmvlforge.models.weights.key_maps import bert_names
from mmvlforge.registry import MODELS
from mmvlforge.structures import VLInputs


def _mean_first(tokens: Tensor, mask: Tensor) -> Tensor:
    shares = mask / mask.sum(dim=1, keepdim=True)
    return torch.cat([torch.einsum('bl,blc->bc', shares.to(tokens.dtype), tokens)[:, None], tokens[:, 1:]], dim=1)


_POOLINGS = dict(cls=lambda tokens, mask: tokens, mean=_mean_first)


@MODELS.register_module()
class BertTextEncoder(BaseModule):
    """f^t of the ViLEM paper: a bidirectional BERT whose first layers own a cross-attention to the picture.

    Called with the batch alone it is BERT itself. ViLEM stops it after M_1 layers and lets it see the picture, in one
    of two ways: a vector added to each word embedding (Section 3.2.2), or patches read by each layer (Section 3.2.3).

    B captions, L tokens, N patches, C channels. Defaults are bert-base-uncased's.

    Args:
        vocab_size: Tokens of the vocabulary.
        embed_dims: Channels C.
        num_layers: Layers M.
        num_heads: Attention heads.
        ffn_dims: Hidden channels of the feed-forward parts.
        max_length: Longest caption, in tokens.
        num_cross_layers: The first so many layers own a cross-attention (M_1 where ViLEM's local path is used).
        memory_dims: Channels of the patches; None for C.
        drop: Dropout after the embeddings and after each part of a layer.
        attn_drop: Dropout on attention weights.
        residual_gain: As in TransformerLayer.
        cross_gain: As in TransformerLayer.
        with_cp: Gradient checkpointing of every layer.
        pooling: What stands first in the output, where a dual encoder takes the sentence from: ``'cls'``, the [CLS]
            token, or ``'mean'``, the mean over all tokens but padding, as in sentence-transformers (Reimers &
            Gurevych, EMNLP 2019).
        init_cfg: How to start, for example ``dict(type='HFPretrained', folder=...)``; a cross-attention that the folder
            does not have keeps its random start.

    Raises:
        ValueError: More layers with cross-attention than layers, or an unknown ``pooling``.
    """

    hf_names = staticmethod(bert_names)

    def __init__(
        self,
        vocab_size: int = 30522,
        embed_dims: int = 768,
        num_layers: int = 12,
        num_heads: int = 12,
        ffn_dims: int = 3072,
        max_length: int = 512,
        num_cross_layers: int = 0,
        memory_dims: int | None = None,
        drop: float = 0.1,
        attn_drop: float = 0.1,
        residual_gain: float = 0.3,
        cross_gain: float = 1.5,
        with_cp: bool = False,
        pooling: str = 'cls',
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if pooling not in _POOLINGS:
            raise ValueError(f'pooling must be one of {sorted(_POOLINGS)}, got {pooling!r}')
        self.pooling = pooling
        if num_cross_layers > num_layers:
            raise ValueError(f'num_cross_layers must be at most num_layers {num_layers}, got {num_cross_layers}')
        self.num_cross_layers = num_cross_layers
        self.word_embed = nn.Embedding(vocab_size, embed_dims)
        self.position_embed = nn.Embedding(max_length, embed_dims)
        self.type_embed = nn.Embedding(2, embed_dims)  # BERT's two segments; a caption is the first
        for embedding in (self.word_embed, self.position_embed, self.type_embed):
            nn.init.normal_(embedding.weight, std=0.02)
        self.norm = nn.LayerNorm(embed_dims, eps=1e-12)
        self.drop = nn.Dropout(drop)
        self.layers = nn.ModuleList(
            TransformerLayer(
                embed_dims,
                num_heads,
                ffn_dims,
                cross_attention=index < num_cross_layers,
                memory_dims=memory_dims,
                drop=drop,
                attn_drop=attn_drop,
                residual_gain=residual_gain,
                cross_gain=cross_gain,
                with_cp=with_cp,
            )
            for index in range(num_layers)
        )
        # The fields by which Hugging Face would describe this model.
        self.hf_config = dict(
            model_type='bert',
            vocab_size=vocab_size,
            hidden_size=embed_dims,
            num_hidden_layers=num_layers,
            num_attention_heads=num_heads,
            intermediate_size=ffn_dims,
            hidden_act='gelu',
            layer_norm_eps=self.norm.eps,
            max_position_embeddings=max_length,
            type_vocab_size=self.type_embed.num_embeddings,
            pad_token_id=0,
        )

    def forward(
        self,
        inputs: VLInputs,
        num_layers: int | None = None,
        shift: Tensor | None = None,
        memory: Sequence[Tensor] = (),
        return_attention: bool = False,
    ) -> Tensor | tuple[Tensor, list[Tensor]]:
        """Encode ``inputs.input_ids``.

        Args:
            inputs: The batch.
            num_layers: Stop after so many layers; None for all.
            shift: Added to every word embedding, as the first layer receives them ``(B, C)``.
            memory: Patches for the first layers to read, one ``(B, N, C')`` a layer.
            return_attention: Return the cross-attention's weights too, one ``(B, heads, L, N)`` for each memory. They
                take part in the gradients, as Grad-CAM needs it.

        Returns:
            ``(B, L, C)``, the sentence first (``pooling``).

        Raises:
            ValueError: More memories than layers with a cross-attention, or ``num_layers`` beyond the last layer.
        """
        if num_layers is not None and num_layers > len(self.layers):
            raise ValueError(f'asked to stop after layer {num_layers} of {len(self.layers)}')
        if len(memory) > self.num_cross_layers:
            raise ValueError(f'{len(memory)} memories for num_cross_layers {self.num_cross_layers}')
        ids = inputs.input_ids
        x = self.word_embed(ids) + self.position_embed.weight[: ids.shape[1]] + self.type_embed.weight[0]
        x = self.drop(self.norm(x))
        if shift is not None:
            x = x + shift[:, None]
        maps = []
        for layer, patches in zip_longest(self.layers[:num_layers], memory):
            if patches is not None and return_attention:
                x, weights = layer(x, inputs.attention_mask, patches, return_attention=True)
                maps.append(weights)
            else:
                x = layer(x, inputs.attention_mask, patches)
        x = _POOLINGS[self.pooling](x, inputs.attention_mask)
        return (x, maps) if return_attention else x

    def drop_cross_attention(self) -> None:
        """Give up the cross-attentions: for a copy that sees no picture."""
        for layer in self.layers[: self.num_cross_layers]:
            del layer.cross_attn, layer.cross_norm
        self.num_cross_layers = 0

    def word_logits(self, tokens: Tensor) -> Tensor:
        """Compare tokens ``(..., C)`` with every word embedding: ``(..., vocab_size)``."""
        return F.linear(tokens, self.word_embed.weight)
