"""Dual-branch cross-attention (DCA), Section 2.1 of the paper."""

from itertools import zip_longest
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmvlforge.models.layers import TransformerLayer
from mmvlforge.models.layers.attention import init_linear
from mmvlforge.registry import MODELS
from mmvlforge.structures import FusedFeatures, VLInputs

TEXT, IMAGE = 0, 1  # rows of METER's modality embedding


def _grid_positions(height: int, width: int, dims: int) -> Tensor:
    """Sines and cosines of a cell's row and column ``(1 + N, C)``, [CLS] first, which has no place.

    Neighbours are alike and coordinates can be read off at once, so that boxes need not learn each cell by itself.
    """
    rates = 0.02 ** torch.linspace(0, 1, dims // 4)  # radians a cell
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    angles = torch.cat([place.reshape(-1, 1) * rates for place in (rows, columns)], dim=1)
    return F.pad(torch.cat([angles.sin(), angles.cos()], dim=1), (0, 0, 1, 0))


@MODELS.register_module()
class DCANeck(BaseModule):
    """Modality interaction M_i and M_t of Eq. 3: {i_cls, i_pat} = M_i(f_i, f_t), {t_cls, t_tok} = M_t(f_t, f_i).

    Both branches have self-attention, cross-attention into the other branch and a feed-forward part in every layer,
    and step at the same time: layer k of one branch reads layer k-1 of the other. As in METER, whose weights start
    the paper's model, a linear map and a modality embedding come first. With zero layers a branch is deleted (Table
    2): the other one reads its mapped encoder features throughout.

    B samples, N image patches, M text tokens, C channels.

    Args:
        image_dims: Channels of the image encoder.
        text_dims: Channels of the text encoder.
        embed_dims: Channels C of the fused features.
        num_heads: Attention heads.
        ffn_dims: Hidden channels of the feed-forward parts.
        num_image_layers: Layers of M_i.
        num_text_layers: Layers of M_t.
        drop: Dropout after each part of a layer.
        attn_drop: Dropout on attention weights.
        norm_eps: Epsilon of the layer norms.
        image_cross_gain: Gain with which the cross-attention of M_i starts where no pre-trained weights replace it; the
            paper does not say. What patches hear of the caption is at first the same for all of them: loud, it drowns
            what tells them apart, and the words, which look for it there, learn later; quiet (0.3), boxes are worse.
        text_cross_gain: The same of M_t, whose words must hear the patches from the first step.
        image_grid: Rows and columns of the patches, each of which then gets a learnt position in M_i. For image
            encoders that tell none, such as TIMMImageEncoder: a box could not be found. None adds nothing.
        position_scale: How loud the positions begin beside what a patch shows. Small boxes need loud ones.
        with_cp: Gradient checkpointing of every layer.
        init_cfg: As in MMEngine.

    Raises:
        ValueError: ``image_grid`` with ``embed_dims`` that are no multiple of 4.
    """

    def __init__(
        self,
        image_dims: int = 768,
        text_dims: int = 768,
        embed_dims: int = 768,
        num_heads: int = 12,
        ffn_dims: int = 3072,
        num_image_layers: int = 6,
        num_text_layers: int = 6,
        drop: float = 0.1,
        attn_drop: float = 0.1,
        norm_eps: float = 1e-12,
        image_cross_gain: float = 1.5,
        text_cross_gain: float = 1.5,
        with_cp: bool = False,
        init_cfg=None,
        image_grid: tuple[int, int] | None = None,
        position_scale: float = 1.0,
    ) -> None:
        super().__init__(init_cfg)
        self.image_transform = init_linear(nn.Linear(image_dims, embed_dims))
        self.text_transform = init_linear(nn.Linear(text_dims, embed_dims))
        self.modality_embed = nn.Parameter(torch.zeros(2, embed_dims))
        if image_grid and embed_dims % 4:
            raise ValueError(f'image_grid needs embed_dims that are a multiple of 4, got {embed_dims}')
        positions = position_scale * _grid_positions(*image_grid, embed_dims) if image_grid else None
        self.image_positions = None if positions is None else nn.Parameter(positions)

        def branch(num_layers: int, cross_gain: float) -> nn.ModuleList:
            return nn.ModuleList(
                TransformerLayer(
                    embed_dims,
                    num_heads,
                    ffn_dims,
                    cross_attention=True,
                    drop=drop,
                    attn_drop=attn_drop,
                    norm_eps=norm_eps,
                    cross_gain=cross_gain,
                    with_cp=with_cp,
                )
                for _ in range(num_layers)
            )

        self.image_layers = branch(num_image_layers, image_cross_gain)
        self.text_layers = branch(num_text_layers, text_cross_gain)

    @torch.no_grad()
    def begin_at_comparison(self, length: float) -> None:
        """Let M_t's first layer begin at subtracting from each word what it sees of the picture where that is alike.

        Both modalities must share a space already. What is left of a word tells whether the picture shows it, but a
        layer norm makes all lengths equal; so the text's modality embedding begins at a constant vector, beside which
        little is left of a small difference and much of a large one. From random weights comparing is learnt late: it
        is a product of both modalities, and layers begin as sums.

        Args:
            length: Usual length of a caption's feature in the shared space.

        Raises:
            ValueError: There is no M_t.
        """
        if not len(self.text_layers):
            raise ValueError('begin_at_comparison needs num_text_layers of at least 1')
        layer: Any = self.text_layers[0]
        attention = layer.cross_attn
        constant = torch.randn(self.modality_embed.shape[1], generator=torch.Generator().manual_seed(0))
        self.modality_embed[TEXT] = length * F.normalize(constant, dim=0)
        for linear in (attention.query, attention.key, attention.value, attention.out):
            nn.init.eye_(linear.weight)
        # The norm before has brought word and constant, together √2 times ``length``, to the length √C.
        attention.out.weight *= -((len(constant) / 2) ** 0.5) / length

    def forward(self, image_tokens: Tensor, text_tokens: Tensor, inputs: VLInputs) -> FusedFeatures:
        """Fuse both modalities.

        Args:
            image_tokens: f_i with [CLS] first ``(B, 1 + N, image_dims)``.
            text_tokens: f_t with [CLS] first ``(B, 1 + M, text_dims)``.
            inputs: The batch, for its text masks.

        Raises:
            ValueError: The patches are not as many as ``image_grid`` has.
        """
        mask = inputs.attention_mask
        image = shown = self.image_transform(image_tokens) + self.modality_embed[IMAGE]
        if self.image_positions is not None:
            if image.shape[1] != len(self.image_positions):
                cells = f'{len(self.image_positions) - 1} cells, the image encoder gives {image.shape[1] - 1}'
                raise ValueError(f'image_grid has {cells}')
            image = image + self.image_positions
        text = self.text_transform(text_tokens) + self.modality_embed[TEXT]
        for image_layer, text_layer in zip_longest(self.image_layers, self.text_layers):
            next_image = None if image_layer is None else image_layer(image, memory=text, memory_mask=mask)
            # Words first hear what there is to see, and not where: loud positions would drown it.
            text = text if text_layer is None else text_layer(text, mask, memory=shown)
            if next_image is not None:
                image = shown = next_image
        return FusedFeatures(image[:, 0], image[:, 1:], text[:, 0], text[:, 1:], inputs.word_mask[:, 1:])
