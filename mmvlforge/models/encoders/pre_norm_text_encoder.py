"""The text towers of CLIP (Radford et al., 2021) and SigLIP (Zhai et al., 2023), with cross-attention in their first
layers.
"""

from collections.abc import Sequence
from itertools import zip_longest

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmvlforge.models.layers import PreNormLayer
from mmvlforge.models.layers.attention import init_linear
from mmvlforge.models.weights.key_maps import clip_text_names
from mmvlforge.registry import MODELS
from mmvlforge.structures import VLInputs


@MODELS.register_module()
class PreNormTextEncoder(BaseModule):
    """f^t of a CLIP or SigLIP: pre-norm layers, of which the first own a cross-attention to the picture.

    Called with the batch alone it is the library's tower itself, the cross-attentions being passed over. ViLEM stops it
    after M_1 layers and lets it see the picture, as it does with BertTextEncoder. The last norm belongs to the last
    layer; what an earlier one hands on is normalised without weights, for the heads were made for normalised features.

    B captions, L tokens, N patches, C channels. Defaults are those of CLIP ViT-B/16 and B/32.

    Args:
        vocab_size: Tokens of the vocabulary.
        embed_dims: Channels C.
        num_layers: Layers M.
        num_heads: Attention heads.
        ffn_dims: Hidden channels of the feed-forward parts.
        max_length: Longest caption, in tokens.
        causal: Each token reads only those before it, as in CLIP.
        edit_causal: The same for the pass that stops early, ViLEM's proofreading; None for ``causal``. True leaves the
            layers what they were trained for: a word is judged by the picture and the words before it. False lets it
            be judged by all of its caption, as the paper's BERT does, by layers that have to learn it. No outcome of
            either has been measured on trained weights.
        eos_id: The caption's feature is that of its first token of this id, as in CLIP. None: that of position
            ``max_length``, as in SigLIP, whose captions are therefore filled up to ``max_length`` here, and whose
            tokens read the padding like any other token.
        pad_id: What stands for padding.
        activation: As in PreNormLayer: OpenAI's CLIP ``'quick_gelu'``, open_clip's ``'gelu'``, SigLIP
            ``'gelu_pytorch_tanh'``.
        norm_eps: Epsilon of the norms.
        num_cross_layers: The first so many layers own a cross-attention (M_1 where ViLEM's local path is used).
        memory_dims: Channels of the patches; None for C.
        shift_dims: Channels of the ``shift``, which a linear map brings to C: the towers of CLIP differ in width, and
            their word embeddings are so small that a normalised feature would drown them. None: there is no map, and
            no ``shift`` is taken.
        shift_gain: Gain of that map at the start; by default the shift is then about as large as CLIP's embeddings.
        drop: Dropout after each part of a layer; CLIP and SigLIP have none.
        attn_drop: Dropout on attention weights.
        cross_gain: As in TransformerLayer. Small, since it adds to layers that are trained already.
        with_cp: Gradient checkpointing of every layer.
        init_cfg: How to start, for example ``dict(type='HubPretrained', name=...)``; usually that of the whole model.

    Raises:
        ValueError: More layers with cross-attention than layers, or a bidirectional tower that is asked to proofread
            causally.
    """

    hub_tower = 'text_config'
    hub_names = staticmethod(clip_text_names)

    def __init__(
        self,
        vocab_size: int = 49408,
        embed_dims: int = 512,
        num_layers: int = 12,
        num_heads: int = 8,
        ffn_dims: int = 2048,
        max_length: int = 77,
        causal: bool = True,
        edit_causal: bool | None = None,
        eos_id: int | None = 49407,
        pad_id: int = 0,
        activation: str = 'quick_gelu',
        norm_eps: float = 1e-5,
        num_cross_layers: int = 0,
        memory_dims: int | None = None,
        shift_dims: int | None = None,
        shift_gain: float = 0.02,
        drop: float = 0.0,
        attn_drop: float = 0.0,
        cross_gain: float = 0.1,
        with_cp: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if num_cross_layers > num_layers:
            raise ValueError(f'num_cross_layers must be at most num_layers {num_layers}, got {num_cross_layers}')
        if edit_causal and not causal:
            raise ValueError('edit_causal=True needs causal=True: a tower that reads both ways proofreads both ways')
        self.num_cross_layers = num_cross_layers
        self.max_length = max_length
        self.causal = causal
        self.edit_causal = causal if edit_causal is None else edit_causal
        self.eos_id = eos_id
        self.pad_id = pad_id
        self.word_embed = nn.Embedding(vocab_size, embed_dims)
        self.position_embed = nn.Embedding(max_length, embed_dims)
        for embedding in (self.word_embed, self.position_embed):
            nn.init.normal_(embedding.weight, std=0.02)
        self.shift_proj = init_linear(nn.Linear(shift_dims, embed_dims), shift_gain) if shift_dims else None
        self.layers = nn.ModuleList(
            PreNormLayer(
                embed_dims,
                num_heads,
                ffn_dims,
                cross_attention=index < num_cross_layers,
                memory_dims=memory_dims,
                drop=drop,
                attn_drop=attn_drop,
                norm_eps=norm_eps,
                activation=activation,
                cross_gain=cross_gain,
                with_cp=with_cp,
            )
            for index in range(num_layers)
        )
        self.norm = nn.LayerNorm(embed_dims, eps=norm_eps)
        # The fields by which Hugging Face would describe this tower.
        self.hf_config = dict(
            model_type='clip_text_model' if causal else 'siglip_text_model',
            vocab_size=vocab_size,
            hidden_size=embed_dims,
            num_hidden_layers=num_layers,
            num_attention_heads=num_heads,
            intermediate_size=ffn_dims,
            hidden_act=activation,
            layer_norm_eps=norm_eps,
            max_position_embeddings=max_length,
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
            num_layers: Proofread: stop after so many layers. None for all of them, and the last norm.
            shift: Added, mapped, to every word embedding, as the first layer receives them ``(B, shift_dims)``.
            memory: Patches for the first layers to read, one ``(B, N, C')`` a layer.
            return_attention: As in BertTextEncoder; of a tower without ``eos_id`` the maps have ``max_length`` rows.

        Returns:
            ``(B, L, C)``, and ``(B, max_length, C)`` after all layers of a tower without ``eos_id``.

        Raises:
            ValueError: As in BertTextEncoder; a caption longer than ``max_length``; or a shift without ``shift_dims``.
        """
        if num_layers is not None and num_layers > len(self.layers):
            raise ValueError(f'asked to stop after layer {num_layers} of {len(self.layers)}')
        if len(memory) > self.num_cross_layers:
            raise ValueError(f'{len(memory)} memories for num_cross_layers {self.num_cross_layers}')
        length = inputs.input_ids.shape[1]
        if length > self.max_length:
            raise ValueError(f'a caption of {length} tokens; max_length is {self.max_length}: set it in the tokenizer')
        ids = inputs.input_ids.masked_fill(~inputs.attention_mask, self.pad_id)
        causal = self.causal if num_layers is None else self.edit_causal
        mask = None if causal else inputs.attention_mask
        if self.eos_id is None:
            ids, mask = F.pad(ids, (0, self.max_length - length), value=self.pad_id), None
        x = self.word_embed(ids) + self.position_embed.weight[: ids.shape[1]]
        if shift is not None:
            if self.shift_proj is None:
                raise ValueError('a path gives a shift (GlobalPath): the text encoder needs shift_dims')
            x = x + self.shift_proj(shift)[:, None]
        maps = []
        for layer, patches in zip_longest(self.layers[:num_layers], memory):
            show = patches is not None and return_attention
            x = layer(x, mask, patches, return_attention=show, causal=causal)
            if show:
                x, weights = x
                maps.append(weights)
        if num_layers is None:
            x = self.norm(x)
        else:
            x = F.layer_norm(x[:, :length], x.shape[-1:])
        return (x, maps) if return_attention else x

    def pool(self, tokens: Tensor, inputs: VLInputs) -> Tensor:
        """The feature of each caption ``(B, C)``, of the tokens after all layers."""
        if self.eos_id is None:
            return tokens[:, -1]
        first = (inputs.input_ids == self.eos_id).int().argmax(dim=1)
        return tokens.gather(1, first[:, None, None].expand(-1, 1, tokens.shape[2]))[:, 0]

    def drop_cross_attention(self) -> None:
        """Give up what only proofreading uses: for a copy that sees no picture."""
        for layer in self.layers[: self.num_cross_layers]:
            del layer.cross_attn, layer.cross_norm, layer.memory_norm
        self.num_cross_layers, self.shift_proj = 0, None

    def word_logits(self, tokens: Tensor) -> Tensor:
        """Compare tokens ``(..., C)`` with every word embedding: ``(..., vocab_size)``."""
        return F.linear(tokens, self.word_embed.weight)
