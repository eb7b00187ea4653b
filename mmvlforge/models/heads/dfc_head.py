"""Decoupled fine-grained classifiers (DFC), Section 2.2 of the paper."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor

from mmvlforge.models.layers import mlp
from mmvlforge.registry import MODELS
from mmvlforge.structures import FusedFeatures, ManipulationTargets, VLDataSample


def log_odds(logits: Tensor) -> Tensor:
    """Log-odds of every class but the first: z_k - logsumexp of the others, so that ≥ 0 means p_k ≥ 1/2.

    Args:
        logits: ``(B, K)``.

    Returns:
        ``(B, K - 1)``.
    """
    classes = range(1, logits.shape[-1])
    rest = [torch.cat([logits[:, :k], logits[:, k + 1 :]], dim=-1).logsumexp(dim=-1) for k in classes]
    return logits[:, 1:] - torch.stack(rest, dim=-1)


def _scores(image: Tensor, text: Tensor) -> Tensor:
    return torch.cat([log_odds(image), log_odds(text)], dim=-1)


@MODELS.register_module()
class DFCHead(BaseModule):
    """C_i on i_cls and C_t on t_cls, each real / swap / attribute (Eq. 4): neither modality can crowd out the other.

    Args:
        in_dims: Channels C.
        hidden_dims: Hidden channels of both MLPs; the paper does not say, C here.
        num_image_types: Image classes, the real one included.
        num_text_types: Text classes, the real one included.
        loss_weight: α of Eq. 9.
    """

    def __init__(
        self,
        in_dims: int = 768,
        hidden_dims: int = 768,
        num_image_types: int = 3,
        num_text_types: int = 3,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.image_classifier = mlp(in_dims, hidden_dims, num_image_types)
        self.text_classifier = mlp(in_dims, hidden_dims, num_text_types)
        self.loss_weight = loss_weight

    def forward(self, features: FusedFeatures) -> tuple[Tensor, Tensor]:
        """Logits of the image types ``(B, K_i)`` and of the text types ``(B, K_t)``."""
        return self.image_classifier(features.image_cls), self.text_classifier(features.text_cls)

    def loss(self, features: FusedFeatures, targets: ManipulationTargets) -> dict[str, Tensor]:
        """Both terms of L_mcls (Eq. 4)."""
        image, text = self(features)
        return dict(
            loss_image_type=self.loss_weight * F.cross_entropy(image.float(), targets.image_type),
            loss_text_type=self.loss_weight * F.cross_entropy(text.float(), targets.text_type),
        )

    def scores(self, features: FusedFeatures) -> Tensor:
        """Log-odds of the manipulation types, image types first ``(B, K_i + K_t - 2)``."""
        return _scores(*self(features))

    def predict(self, features: FusedFeatures, data_samples: list[VLDataSample]) -> None:
        """Fill ``pred_type_scores``, ``pred_image_type`` and ``pred_text_type``."""
        image, text = (logits.float().cpu() for logits in self(features))
        scores = _scores(image, text)
        types = zip(image.argmax(dim=-1).tolist(), text.argmax(dim=-1).tolist())
        for sample, row, (image_type, text_type) in zip(data_samples, scores, types):
            sample.pred_type_scores = row
            sample.pred_image_type = image_type
            sample.pred_text_type = text_type
