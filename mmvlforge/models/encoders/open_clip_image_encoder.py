"""Image tower of open_clip, with its intermediate features."""

import torch
from mmengine.model import BaseModule, initialize

from mmvlforge.models.weights.hub import import_open_clip
from mmvlforge.registry import MODELS
from mmvlforge.structures import ImageFeatures, VLInputs


@MODELS.register_module()
class OpenCLIPImageEncoder(BaseModule):
    """f^v through open_clip (Ilharco et al., 2021): any of its image towers, their projection included.

    h^v is what open_clip calls the image's feature, before it is scaled to length 1: a DualEncoder takes it as it is
    (``image_dims=None``). The levels are the patches as the blocks hand them on. open_clip is an optional package.

    Args:
        arch: Name of the architecture (``'ViT-B-16'``; ``open_clip.list_models()`` lists them). Nothing is fetched.
        image_size: Side of the pictures in pixels; None for the architecture's own.
        with_cp: Gradient checkpointing of every block.
        init_cfg: As in HFImageEncoder; usually ``OpenCLIPPretrained`` is the whole model's.

    Raises:
        ValueError: open_clip is not installed, or knows no such architecture.
    """

    def __init__(
        self, arch: str, image_size: int | None = None, with_cp: bool = False, init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)
        open_clip = import_open_clip()
        if arch not in open_clip.list_models():
            raise ValueError(f'open_clip knows no architecture {arch!r}; open_clip.list_models() lists them')
        self.arch = arch
        whole = open_clip.create_model(
            arch,
            load_weights=False,
            pretrained_text=False,
            force_image_size=image_size,
            device=torch.get_default_device(),
        )
        self.model = whole.visual
        if with_cp:
            self.model.set_grad_checkpointing()

    def init_weights(self) -> None:
        """Load ``init_cfg``; the random initialisation is open_clip's own, done at construction."""
        if self.init_cfg:
            initialize(self, self.init_cfg)
        self._is_init = True

    def forward(self, inputs: VLInputs) -> ImageFeatures:
        """Encode ``inputs.images``."""
        outputs = self.model.forward_intermediates(inputs.images)
        levels = tuple(level.flatten(2).transpose(1, 2) for level in outputs['image_intermediates'])
        return ImageFeatures(outputs['image_features'], levels)
