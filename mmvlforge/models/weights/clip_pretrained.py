"""Start an image encoder from CLIP."""

from torch import nn

from mmvlforge.models.weights.conversion import load_into
from mmvlforge.models.weights.key_maps import clip_vit_names
from mmvlforge.models.weights.reading import read_state_dict
from mmvlforge.registry import WEIGHT_INITIALIZERS


@WEIGHT_INITIALIZERS.register_module()
class CLIPPretrained:
    """Load the image tower of a CLIP state dict (names of OpenAI and open_clip) into a ViTImageEncoder.

    Blocks that the encoder does not have, the projection and the text tower are left out; the position embedding is
    resized to the encoder's grid.

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
        load_into(module, state_dict, clip_vit_names(state_dict), str(self.checkpoint))
