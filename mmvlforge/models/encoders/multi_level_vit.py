"""Vision transformer that shows its intermediate features."""

from mmvlforge.models.encoders.vit_image_encoder import ViTImageEncoder
from mmvlforge.registry import MODELS
from mmvlforge.structures import ImageFeatures, VLInputs


@MODELS.register_module()
class MultiLevelViT(ViTImageEncoder):
    """f^v of the ViLEM paper: mmpretrain's VisionTransformer, the patches of every block.

    The last norm acts on the last block alone; the lower levels are taken as the blocks hand them on.

    Args:
        backbone: Config of an mmpretrain backbone with ``out_type='raw'`` and all blocks in ``out_indices``.
        init_cfg: As in ViTImageEncoder.
    """

    def forward(self, inputs: VLInputs) -> ImageFeatures:  # type: ignore[override]  # only the backbone is shared
        """Encode ``inputs.images``."""
        outputs = self.backbone(inputs.images)
        return ImageFeatures(outputs[-1][:, 0], tuple(tokens[:, 1:] for tokens in outputs))
