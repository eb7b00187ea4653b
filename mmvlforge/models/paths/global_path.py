"""The whole picture as one vector."""

from mmvlforge.registry import MODELS
from mmvlforge.structures import ImageFeatures


@MODELS.register_module()
class GlobalPath:
    """ViLEM with the global visual feature (Section 3.2.2): h^v is added to every word embedding.

    The word embeddings are those that the first layer receives, normalised and with their positions: h^v, a normalised
    feature as well, would drown them before.

    Args:
        loss_weight: λ2 of Eq. 13.
    """

    def __init__(self, loss_weight: float = 0.2) -> None:
        self.loss_weight = loss_weight

    def __call__(self, image: ImageFeatures, num_layers: int) -> dict:
        """Return ``shift`` ``(B, C)``."""
        return dict(shift=image.cls)
