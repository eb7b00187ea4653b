"""Implicit manipulation query for images (I-IMQ), Section 2.3 of the paper."""

from torch import Tensor

from mmvlforge.models.heads.box_head import BoxHead
from mmvlforge.models.layers import ImplicitQueries
from mmvlforge.registry import MODELS
from mmvlforge.structures import FusedFeatures


@MODELS.register_module()
class IMQBoxHead(BoxHead):
    """Box MLP D_i on f_im = Attention(q_im, i_pat, i_pat) (Eq. 6-7).

    Args:
        in_dims: Channels C.
        num_heads: Heads of the query's attention.
        num_queries: Learnable queries q_im; the paper does not say, 1 here. Several are averaged.
        query_std: See :class:`mmvlforge.models.layers.ImplicitQueries`.
        imq_residual: Likewise, its ``residual``.
        **kwargs: As :class:`BoxHead`.
    """

    def __init__(
        self,
        in_dims: int = 768,
        num_heads: int = 12,
        num_queries: int = 1,
        query_std: float = 1.0,
        imq_residual: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(in_dims=in_dims, **kwargs)
        self.queries = ImplicitQueries(in_dims, num_heads, num_queries, query_std, imq_residual)

    def aggregate(self, features: FusedFeatures) -> Tensor:
        """f_im, averaged over the queries ``(B, C)``."""
        return self.queries(features.image_patches).mean(dim=1)
