"""Encoders that see nothing: one modality alone, by configuration."""

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmvlforge.registry import MODELS
from mmvlforge.structures import VLInputs

__all__ = ['NullImageEncoder', 'NullTextEncoder']


@MODELS.register_module()
class NullImageEncoder(BaseModule):
    """Learnt constant tokens in place of a picture: the text-only baseline.

    Args:
        embed_dims: Channels C of the tokens.
        num_patches: Patch tokens N.
    """

    def __init__(self, embed_dims: int, num_patches: int = 1) -> None:
        super().__init__()
        self.tokens = nn.Parameter(0.02 * torch.randn(1, 1 + num_patches, embed_dims))

    def forward(self, inputs: VLInputs) -> Tensor:
        """Return ``(B, 1 + N, C)``, the same for every sample."""
        return self.tokens.expand(inputs.input_ids.shape[0], -1, -1)


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
