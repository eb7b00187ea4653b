"""Start an image encoder from ImageNet."""

from torch import nn

from mmvlforge.models.weights.conversion import load_into
from mmvlforge.models.weights.key_maps import timm_vit_names
from mmvlforge.models.weights.reading import read_state_dict
from mmvlforge.registry import WEIGHT_INITIALIZERS


@WEIGHT_INITIALIZERS.register_module()
class ViTPretrained:
    """Load an ImageNet ViT (names of timm and DeiT) into a ViTImageEncoder or MultiLevelViT.

    The classifier is left out; the position embedding is resized to the encoder's grid. DeiT's distilled models, which
    have a second class token, do not fit.

    Args:
        checkpoint: Path of the state dict, PyTorch or safetensors.
    """

    def __init__(self, checkpoint: str) -> None:
        self.checkpoint = checkpoint

    def __call__(self, module: nn.Module) -> None:
        """Load into ``module``.

        Raises:
            ValueError: The file cannot be read, a shape does not fit, or no key does.
        """
        state_dict = read_state_dict(self.checkpoint)
        load_into(module, state_dict, timm_vit_names(state_dict), str(self.checkpoint))
