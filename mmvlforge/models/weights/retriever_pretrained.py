"""Start a dual encoder from another run of ours."""

from mmengine.runner import CheckpointLoader
from torch import nn

from mmvlforge.models.weights.conversion import load_into
from mmvlforge.registry import WEIGHT_INITIALIZERS


@WEIGHT_INITIALIZERS.register_module()
class RetrieverPretrained:
    """Load the encoders, the heads and the temperature of a checkpoint into a DualEncoder or ViLEM, for fine-tuning.

    Queues stay behind, since their image ids are those of the other data set, and so do the momentum encoders, which
    begin anew at the encoders. The position embedding is resized to the encoder's grid. To go on with an interrupted
    run, with queues and all, use ``--resume``.

    Args:
        checkpoint: Path of a checkpoint that this project wrote. The tools refuse one that could run code.
    """

    def __init__(self, checkpoint: str) -> None:
        self.checkpoint = checkpoint

    def __call__(self, module: nn.Module) -> None:
        """Load into ``module``.

        Raises:
            ValueError: There is no such file, a shape does not fit, or no key does.
        """
        try:
            checkpoint = CheckpointLoader.load_checkpoint(self.checkpoint, map_location='cpu')
        except FileNotFoundError as error:
            raise ValueError(
                f'model.init_cfg.checkpoint={self.checkpoint!r} does not exist. Pre-train first, name another '
                'checkpoint, or start from nothing with --cfg-options model.init_cfg=None'
            ) from error
        state_dict = checkpoint.get('state_dict', checkpoint)
        run = {name for name, _ in module.named_buffers() if name.startswith('contrastive_head.')}
        names = {key: key for key in state_dict if key not in run and not key.startswith('momentum.')}
        load_into(module, state_dict, names, self.checkpoint)
