"""A small convolutional image encoder."""

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmvlforge.registry import MODELS
from mmvlforge.structures import VLInputs


@MODELS.register_module()
class ConvImageEncoder(BaseModule):
    """A plain stack of convolutions whose last map gives the patch tokens; [CLS] is their mean plus a learnt part.

    Convolutions learn from few samples what a vision transformer learns from many: the mini configs, which start from
    nothing, use them in place of the paper's ViT.

    Args:
        embed_dims: Channels C of the tokens.
        num_patches: Cells N of the last map at the training resolution (height × width).
        channels: Channels of each layer.
        strides: Stride of each layer. The first one's kernel is as large as its stride, the others' is 3.
        init_cfg: As in MMEngine.
    """

    def __init__(
        self,
        embed_dims: int,
        num_patches: int,
        channels: Sequence[int] = (32, 48, 96, 128),
        strides: Sequence[int] = (4, 1, 2, 2),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        layers: list[nn.Module] = []
        in_channels = 3
        for out_channels, stride in zip(channels, strides):
            kernel = stride if not layers else 3
            padding = 0 if not layers else 1
            # No ReLU at the end: of positive features all tokens would share one large vector, and differ by little.
            act_cfg = dict(type='ReLU') if len(layers) < len(channels) - 1 else None
            norm_cfg = dict(type='BN')
            layers.append(
                ConvModule(in_channels, out_channels, kernel, stride, padding, norm_cfg=norm_cfg, act_cfg=act_cfg)
            )
            in_channels = out_channels
        self.layers = nn.Sequential(*layers)
        self.proj = nn.Linear(in_channels, embed_dims)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dims))
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, 1 + num_patches, embed_dims))
        self.norm = nn.LayerNorm(embed_dims)

    def forward(self, inputs: VLInputs) -> Tensor:
        """Encode ``inputs.images`` to ``(B, 1 + N, C)``."""
        patches = self.proj(self.layers(inputs.images).flatten(2).transpose(1, 2))
        tokens = torch.cat([self.cls_token + patches.mean(dim=1, keepdim=True), patches], dim=1)
        return self.norm(tokens + self.pos_embed)
