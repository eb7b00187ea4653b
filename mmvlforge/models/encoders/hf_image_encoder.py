"""Image tower from Hugging Face, with its intermediate features."""

from collections.abc import Iterable

from mmengine.model import BaseModule, initialize
from torch import Tensor

from mmvlforge.models.encoders.hf_model import hf_model
from mmvlforge.registry import MODELS
from mmvlforge.structures import ImageFeatures, VLInputs

POOLS = ('pooler', 'cls', 'mean')


@MODELS.register_module()
class HFImageEncoder(BaseModule):
    """f^v through transformers: the image tower of CLIP or SigLIP, or any other that gives hidden states of its blocks.

    The levels are the patches as the blocks hand them on; a last norm acts on the global feature alone.

    Args:
        config: Fields of the tower's Hugging Face config, ``model_type`` among them (``'clip_vision_model'``,
            ``'siglip_vision_model'``, ``'dinov2'``, ``'vit'``). Nothing is fetched; weights come through ``init_cfg``,
            the whole model's ``init_cfg`` or a checkpoint.
        pool: The global feature h^v: ``'pooler'``, the tower's own (CLIP's [CLS] after the last norm, SigLIP's
            attention pooling); or ``'cls'``, the first token, or ``'mean'``, the mean of the patches, of what the tower
            calls its last hidden state. A tower that can be built without its pooler then is.
        interpolate_pos_encoding: Take pictures of another size than ``config.image_size``: the position embedding,
            which keeps its own, is resized in every forward pass.
        with_cp: Gradient checkpointing of every block.
        init_cfg: How to start, for example ``dict(type='HubPretrained', name=...)``. Without it, Hugging Face's random
            initialisation stays.

    Raises:
        ValueError: ``config`` has no ``model_type``, or another ``pool``.
    """

    hub_tower = 'vision_config'

    def __init__(
        self,
        config: dict,
        pool: str = 'pooler',
        interpolate_pos_encoding: bool = False,
        with_cp: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if pool not in POOLS:
            raise ValueError(f'pool must be one of {POOLS}, got {pool!r}')
        self.model = hf_model(config, pooler=pool == 'pooler', with_cp=with_cp)
        for name, parameter in self.model.named_parameters():
            if name.endswith('mask_token'):  # of masked image modelling: nothing is masked here
                parameter.requires_grad_(False)
        self.pool = pool
        self.options = dict(interpolate_pos_encoding=True) if interpolate_pos_encoding else {}

    @property
    def hf_config(self) -> dict:
        """The fields by which Hugging Face describes this tower."""
        return self.model.config.to_dict()

    def hub_names(self, keys: Iterable[str]) -> dict[str, str]:
        """Names of a whole model, or of one with this tower alone → ours; the other tower's have no place."""
        prefix = f'{self.model.base_model_prefix}.'
        return {key: f'model.{key.removeprefix(prefix)}' for key in keys}

    def init_weights(self) -> None:
        """Load ``init_cfg``; the random initialisation is Hugging Face's own, done at construction."""
        if self.init_cfg:
            initialize(self, self.init_cfg)
        self._is_init = True

    def forward(self, inputs: VLInputs) -> ImageFeatures:
        """Encode ``inputs.images``.

        Raises:
            ValueError: The tower has no pooler, or gives no hidden states of ``(B, tokens, C)``.
        """
        images = inputs.images
        assert images is not None
        outputs = self.model(pixel_values=images, output_hidden_states=True, **self.options)
        patch = getattr(self.model.config, 'patch_size', 1)
        patches = (images.shape[2] // patch) * (images.shape[3] // patch)
        states = outputs.hidden_states[1:]
        if any(tokens.ndim != 3 or tokens.shape[1] < patches for tokens in states):
            shapes = ', '.join(str(tuple(tokens.shape)) for tokens in states)
            raise ValueError(
                f'{self.model.config.model_type}: its hidden states are {shapes}; a vision transformer is needed, '
                f'whose blocks all have (pictures, tokens, channels) with the {patches} patches'
            )
        levels = tuple(tokens[:, -patches:] for tokens in states)  # after [CLS] and registers
        return ImageFeatures(self._global(outputs, patches), levels)

    def _global(self, outputs, patches: int) -> Tensor:
        if self.pool == 'pooler':
            if outputs.get('pooler_output') is None:
                raise ValueError(f"{self.model.config.model_type} has no pooler: set pool to 'cls' or 'mean'")
            return outputs.pooler_output
        if self.pool == 'cls':
            return outputs.last_hidden_state[:, 0]
        return outputs.last_hidden_state[:, -patches:].mean(dim=1)
