"""Image encoders of one level, on the tokens of another encoder: for a dual encoder without layers of its own."""

from mmengine.model import BaseModule, initialize
from torch import nn

from mmvlforge.registry import MODELS
from mmvlforge.structures import ImageFeatures, VLInputs

__all__ = ['ClassProbabilityEncoder', 'SingleLevelEncoder']


@MODELS.register_module()
class SingleLevelEncoder(BaseModule):
    """The first token of another encoder as the global feature, its patches as the only level.

    Args:
        stem: An image encoder that returns ``(B, 1 + N, C)``, such as TIMMImageEncoder.
        init_cfg: As in MMEngine.
    """

    def __init__(self, stem: dict, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.stem = MODELS.build(stem)

    def forward(self, inputs: VLInputs) -> ImageFeatures:
        """Encode ``inputs.images``."""
        tokens = self.stem(inputs)
        return ImageFeatures(tokens[:, 0], (tokens[:, 1:],))


@MODELS.register_module()
class ClassProbabilityEncoder(BaseModule):
    """The probabilities of a classifier's classes as the global feature, for ConSE (see ClassNameAlignment).

    Args:
        stem: An image encoder that returns ``(B, 1 + N, C)``, whose first token the classifier reads.
        in_dims: Its channels C.
        num_classes: Classes K.
        temperature: Divides the logits: above 1 less probable classes count for more.
        init_cfg: How the classifier starts, for example ``dict(type='StarterWeights', name='efficientnet_lite0')``.
    """

    def __init__(
        self,
        stem: dict,
        in_dims: int = 1280,
        num_classes: int = 1000,
        temperature: float = 1.0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.stem = MODELS.build(stem)
        self.classifier = nn.Linear(in_dims, num_classes)
        self.temperature = temperature

    def init_weights(self) -> None:
        """Initialise the stem, and load ``init_cfg`` into the classifier."""
        self.stem.init_weights()
        if self.init_cfg:
            initialize(nn.ModuleDict(dict(classifier=self.classifier)), self.init_cfg)
        self._is_init = True

    def forward(self, inputs: VLInputs) -> ImageFeatures:
        """Encode ``inputs.images``; the global feature is ``(B, K)``."""
        tokens = self.stem(inputs)
        logits = self.classifier(tokens[:, 0]) / self.temperature
        return ImageFeatures(logits.softmax(dim=-1), (tokens[:, 1:],))
