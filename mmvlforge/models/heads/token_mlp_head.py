"""Grounding of text manipulation by a plain MLP."""

from torch import Tensor

from mmvlforge.models.heads.base_token_head import BaseTokenHead
from mmvlforge.models.layers import mlp
from mmvlforge.registry import MODELS
from mmvlforge.structures import FusedFeatures


@MODELS.register_module()
class TokenMLPHead(BaseTokenHead):
    """Real or manipulated, token by token: the baseline of Table 2, which has no text queries.

    Args:
        in_dims: Channels C.
        hidden_dims: Hidden channels of the MLP; the paper does not say, C here.
        loss_weight: γ of Eq. 9.
    """

    def __init__(self, in_dims: int = 768, hidden_dims: int = 768, loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
        self.classifier = mlp(in_dims, hidden_dims, 2)

    def forward(self, features: FusedFeatures) -> Tensor:
        """Logits ``(B, M, 2)``."""
        return self.classifier(features.text_tokens)
