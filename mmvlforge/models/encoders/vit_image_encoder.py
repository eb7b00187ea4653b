"""Vision transformer as image encoder E_i."""

from mmengine.model import BaseModule, initialize
from torch import Tensor

from mmvlforge.registry import MODELS
from mmvlforge.structures import VLInputs


@MODELS.register_module()
class ViTImageEncoder(BaseModule):
    """E_i of Eq. 1: mmpretrain's VisionTransformer, all tokens after the last norm.

    Args:
        backbone: Config of an mmpretrain backbone with ``out_type='raw'``.
        init_cfg: How to start, for example ``dict(type='CLIPPretrained', checkpoint=...)``; applied after the
            backbone's own initialisation.
    """

    def __init__(self, backbone: dict, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.backbone = MODELS.build(backbone)

    def init_weights(self) -> None:
        """Initialise the backbone, then load ``init_cfg`` over it."""
        self.backbone.init_weights()
        if self.init_cfg:
            initialize(self, self.init_cfg)
        self._is_init = True

    def forward(self, inputs: VLInputs) -> Tensor:
        """Encode ``inputs.images`` to ``(B, 1 + N, C)``."""
        return self.backbone(inputs.images)[-1]
