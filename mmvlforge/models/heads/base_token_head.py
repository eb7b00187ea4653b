"""What the token heads share: loss and prediction."""

from abc import abstractmethod

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from mmvlforge.models.heads.mean import global_mean
from mmvlforge.structures import FusedFeatures, ManipulationTargets, VLDataSample


class BaseTokenHead(BaseModule):
    """Grounding of text manipulation (Eq. 8). Padding and special tokens never count.

    Args:
        loss_weight: γ of Eq. 9.
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    @abstractmethod
    def forward(self, features: FusedFeatures) -> Tensor:
        """Logits of real and manipulated for each token ``(B, M, 2)``."""

    def loss(self, features: FusedFeatures, targets: ManipulationTargets) -> dict[str, Tensor]:
        """L_mtg of Eq. 8, the mean over the word tokens of all processes; 0 where there are none."""
        labels = targets.tokens[:, 1:].flatten()
        loss = F.cross_entropy(self(features).float().flatten(0, 1), labels, reduction='none')
        return dict(loss_token=self.loss_weight * global_mean(loss, labels >= 0))

    def predict(self, features: FusedFeatures, data_samples: list[VLDataSample]) -> None:
        """Fill ``pred_tokens`` and ``pred_token_scores``, word tokens only."""
        scores = self(features).float().softmax(dim=-1)[..., 1].cpu()
        for sample, row, mask in zip(data_samples, scores, features.word_mask.cpu()):
            sample.pred_token_scores = row[mask]
            sample.pred_tokens = (row[mask] > 0.5).long()
