"""A text encoder that reads nothing."""

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmvlforge.registry import MODELS
from mmvlforge.structures import VLInputs


@MODELS.register_module()
class NullTextEncoder(BaseModule):
    """One learnt constant at every position in place of a caption: the image-only baseline.

    The constant does not depend on the position, so not even the caption's length gets through attention.

    Args:
        embed_dims: Channels C of the tokens.
    """

    def __init__(self, embed_dims: int) -> None:
        super().__init__()
        self.token = nn.Parameter(0.02 * torch.randn(1, 1, embed_dims))

    def forward(self, inputs: VLInputs) -> Tensor:
        """Return ``(B, L, C)``, the same at every position."""
        return self.token.expand(*inputs.input_ids.shape, -1)
