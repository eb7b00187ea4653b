"""Implicit manipulation query for images (I-IMQ), Section 2.3 of the paper."""

import torch
from torch import Tensor, nn

from mmvlforge.models.heads.box_head import BoxHead
from mmvlforge.models.layers import Attention
from mmvlforge.registry import MODELS
from mmvlforge.structures import FusedFeatures


@MODELS.register_module()
class IMQBoxHead(BoxHead):
    """Box MLP D_i on f_im = Attention(q_im, i_pat, i_pat) (Eq. 6-7).

    Args:
        in_dims: Channels C.
        num_heads: Heads of the query's attention.
        num_queries: Learnable queries q_im; the paper does not say, 1 here. Several are averaged.
        **kwargs: As :class:`BoxHead`.
    """

    def __init__(self, in_dims: int = 768, num_heads: int = 12, num_queries: int = 1, **kwargs) -> None:
        super().__init__(in_dims=in_dims, **kwargs)
        self.query = nn.Parameter(0.02 * torch.randn(1, num_queries, in_dims))
        self.attention = Attention(in_dims, num_heads)
        self.norm = nn.LayerNorm(in_dims)

    def aggregate(self, features: FusedFeatures) -> Tensor:
        """f_im, averaged over the queries ``(B, C)``."""
        query = self.query.expand(len(features.image_patches), -1, -1)
        return self.norm(query + self.attention(query, features.image_patches)).mean(dim=1)
