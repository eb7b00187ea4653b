"""Convolutional backbone as image encoder."""

from typing import Optional

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmvlforge.registry import MODELS
from mmvlforge.structures import VLInputs


@MODELS.register_module()
class ConvImageEncoder(BaseModule):
    """The last feature map of an mmpretrain CNN as patch tokens, after a [CLS] token: their mean plus a learnt part.

    A convolutional encoder learns from few samples what a vision transformer learns from many: the mini configs,
    which start from nothing, use it in place of the paper's ViT.

    Args:
        backbone: Config of an mmpretrain backbone that returns feature maps.
        in_dims: Channels of its last map.
        embed_dims: Channels C of the tokens.
        num_patches: Cells N of the map at the training resolution (height × width).
        init_cfg: As in MMEngine.
    """

    def __init__(
        self,
        backbone: dict,
        in_dims: int,
        embed_dims: int,
        num_patches: int,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        self.backbone = MODELS.build(backbone)
        self.proj = nn.Linear(in_dims, embed_dims)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dims))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, 1 + num_patches, embed_dims))
        self.norm = nn.LayerNorm(embed_dims)

    def forward(self, inputs: VLInputs) -> Tensor:
        """Encode ``inputs.images`` to ``(B, 1 + N, C)``."""
        patches = self.proj(self.backbone(inputs.images)[-1].flatten(2).transpose(1, 2))
        tokens = torch.cat([self.cls_token + patches.mean(dim=1, keepdim=True), patches], dim=1)
        return self.norm(tokens + self.pos_embed)
