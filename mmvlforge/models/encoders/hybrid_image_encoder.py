"""Convolutions, then transformer layers: a small image encoder with several levels."""

from mmengine.model import BaseModule
from torch import nn

from mmvlforge.models.layers import TransformerLayer
from mmvlforge.registry import MODELS
from mmvlforge.structures import ImageFeatures, VLInputs


@MODELS.register_module()
class HybridImageEncoder(BaseModule):
    """Transformer layers over the tokens of another encoder, the patches of every layer being a level.

    The mini configs put convolutions below, which learn from nothing in minutes.

    Args:
        stem: An image encoder that returns ``(B, 1 + N, C)``, [CLS] first: ConvImageEncoder, TIMMImageEncoder.
        embed_dims: Channels C.
        num_layers: Layers, and levels.
        num_heads: Attention heads.
        ffn_dims: Hidden channels of the feed-forward parts.
        drop: Dropout after each part of a layer and on attention weights.
        stem_dims: Channels of the stem's tokens; a linear map brings them to C. None where they have C.
        skip: The global feature is the stem's own, mapped to C, and a linear map of [CLS] after the layers is added to
            it. That map begins at zero: training begins where the stem is.
        init_cfg: As in MMEngine.
    """

    def __init__(
        self,
        stem: dict,
        embed_dims: int,
        num_layers: int,
        num_heads: int,
        ffn_dims: int,
        drop: float = 0.0,
        stem_dims: int | None = None,
        skip: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.stem = MODELS.build(stem)
        self.stem_proj = nn.Linear(stem_dims, embed_dims) if stem_dims else nn.Identity()
        self.layers = nn.ModuleList(
            TransformerLayer(embed_dims, num_heads, ffn_dims, drop=drop, attn_drop=drop) for _ in range(num_layers)
        )
        self.skip_proj = nn.Linear(embed_dims, embed_dims) if skip else None
        if self.skip_proj is not None:
            nn.init.zeros_(self.skip_proj.weight)
            nn.init.zeros_(self.skip_proj.bias)

    def forward(self, inputs: VLInputs) -> ImageFeatures:
        """Encode ``inputs.images``."""
        tokens, levels = self.stem_proj(self.stem(inputs)), []
        first = tokens[:, 0]
        for layer in self.layers:
            tokens = layer(tokens)
            levels.append(tokens[:, 1:])
        cls = tokens[:, 0] if self.skip_proj is None else first + self.skip_proj(tokens[:, 0])
        return ImageFeatures(cls, tuple(levels))
