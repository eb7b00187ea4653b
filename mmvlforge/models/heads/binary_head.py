"""Real or fake."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from mmvlforge.models.layers import mlp
from mmvlforge.registry import MODELS
from mmvlforge.structures import FusedFeatures, ManipulationTargets, VLDataSample


@MODELS.register_module()
class BinaryHead(BaseModule):
    """Binary classifier C_b on the concatenation {i_cls, t_cls} (Eq. 5).

    Args:
        in_dims: Channels C of one modality.
        hidden_dims: Hidden channels of the MLP; the paper does not say, 2C here.
        loss_weight: Weight of L_bcls, 1 in Eq. 9.
    """

    def __init__(self, in_dims: int = 768, hidden_dims: int = 1536, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.classifier = mlp(2 * in_dims, hidden_dims, 2)
        self.loss_weight = loss_weight

    def forward(self, features: FusedFeatures) -> Tensor:
        """Logits of real and fake ``(B, 2)``."""
        return self.classifier(torch.cat([features.image_cls, features.text_cls], dim=-1))

    def loss(self, features: FusedFeatures, targets: ManipulationTargets) -> dict[str, Tensor]:
        """L_bcls of Eq. 5."""
        return dict(loss_binary=self.loss_weight * F.cross_entropy(self(features).float(), targets.fake))

    def predict(self, features: FusedFeatures, data_samples: list[VLDataSample]) -> None:
        """Fill ``pred_fake_score``."""
        scores = self(features).float().softmax(dim=-1)[:, 1].tolist()
        for sample, score in zip(data_samples, scores):
            sample.pred_fake_score = score
