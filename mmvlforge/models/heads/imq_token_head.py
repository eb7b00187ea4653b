"""Implicit manipulation query for text (T-IMQ), Section 2.3 of the paper."""

from torch import Tensor, nn

from mmvlforge.models.heads.base_token_head import BaseTokenHead
from mmvlforge.models.layers import ImplicitQueries
from mmvlforge.models.layers.attention import init_linear
from mmvlforge.registry import MODELS
from mmvlforge.structures import FusedFeatures


@MODELS.register_module()
class IMQTokenHead(BaseTokenHead):
    """Two queries, one for real and one for manipulated, read the caption; each token is compared with both.

    f_tm = Attention(q_tm, t_tok, t_tok) (Eq. 6); f_tm and t_tok are reduced, and their inner products are the logits
    (Eq. 8).

    Args:
        in_dims: Channels C.
        num_heads: Heads of the queries' attention.
        reduced_dims: Channels of the inner product; the paper does not say, 256 here.
        loss_weight: γ of Eq. 9.
        query_std: See :class:`mmvlforge.models.layers.ImplicitQueries`.
        imq_residual: Likewise, its ``residual``.
    """

    def __init__(
        self,
        in_dims: int = 768,
        num_heads: int = 12,
        reduced_dims: int = 256,
        loss_weight: float = 1.0,
        query_std: float = 1.0,
        imq_residual: bool = False,
    ) -> None:
        super().__init__(loss_weight)
        self.queries = ImplicitQueries(in_dims, num_heads, 2, query_std, imq_residual)
        self.reduce_query = init_linear(nn.Linear(in_dims, reduced_dims))
        self.reduce_token = init_linear(nn.Linear(in_dims, reduced_dims))
        self.scale = reduced_dims**-0.5

    def forward(self, features: FusedFeatures) -> Tensor:
        """Logits ``(B, M, 2)``."""
        tokens, mask = features.text_tokens, features.word_mask
        # Attention over nothing is undefined: a caption without words lets its queries see every token.
        mask = mask | ~mask.any(dim=1, keepdim=True)
        f_tm = self.reduce_query(self.queries(tokens, mask))
        return self.scale * self.reduce_token(tokens) @ f_tm.transpose(1, 2)
