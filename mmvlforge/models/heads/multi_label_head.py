"""One multi-label classifier for all manipulation types."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from mmvlforge.models.layers import mlp
from mmvlforge.registry import MODELS
from mmvlforge.structures import FusedFeatures, ManipulationTargets, VLDataSample


@MODELS.register_module()
class MultiLabelHead(BaseModule):
    """Sigmoid classifier on {i_cls, t_cls}, what replaces DFC in Table 2 ("w/o DFC") and in HAMMER.

    Args:
        in_dims: Channels C of one modality.
        hidden_dims: Hidden channels of the MLP.
        num_image_types: Image classes, the real one included.
        num_text_types: Text classes, the real one included.
        loss_weight: α of Eq. 9. The loss is summed over the types, as Eq. 4 sums over its two terms.
    """

    def __init__(
        self,
        in_dims: int = 768,
        hidden_dims: int = 1536,
        num_image_types: int = 3,
        num_text_types: int = 3,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.num_image_types = num_image_types
        self.num_text_types = num_text_types
        self.classifier = mlp(2 * in_dims, hidden_dims, num_image_types + num_text_types - 2)
        self.loss_weight = loss_weight

    def forward(self, features: FusedFeatures) -> Tensor:
        """Logits of the manipulation types, image types first ``(B, K_i + K_t - 2)``."""
        return self.classifier(torch.cat([features.image_cls, features.text_cls], dim=-1))

    def loss(self, features: FusedFeatures, targets: ManipulationTargets) -> dict[str, Tensor]:
        """Binary cross-entropy of every type."""
        image = F.one_hot(targets.image_type, self.num_image_types)[:, 1:]
        text = F.one_hot(targets.text_type, self.num_text_types)[:, 1:]
        labels = torch.cat([image, text], dim=-1).float()
        loss = F.binary_cross_entropy_with_logits(self(features).float(), labels, reduction='none')
        return dict(loss_types=self.loss_weight * loss.sum(dim=-1).mean())

    def scores(self, features: FusedFeatures) -> Tensor:
        """Log-odds of the manipulation types, as :meth:`forward`."""
        return self(features)

    def predict(self, features: FusedFeatures, data_samples: list[VLDataSample]) -> None:
        """Fill ``pred_type_scores`` (a logit is a log-odds), ``pred_image_type`` and ``pred_text_type``."""
        scores = self(features).float().cpu()
        image, text = scores.split([self.num_image_types - 1, self.num_text_types - 1], dim=-1)
        # A zero in front stands for the real class: a modality is real iff none of its types is likelier than not.
        types = [F.pad(part, (1, 0)).argmax(dim=-1).tolist() for part in (image, text)]
        for sample, row, image_type, text_type in zip(data_samples, scores, *types):
            sample.pred_type_scores = row
            sample.pred_image_type = image_type
            sample.pred_text_type = text_type
