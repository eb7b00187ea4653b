"""Initialiser for ``init_cfg``: starter weights, which come from the package index."""

from torch import nn

from mmvlforge.models.weights.conversion import convert
from mmvlforge.models.weights.key_maps import efficientnet_lite0_names
from mmvlforge.models.weights.pretrained import HFPretrained
from mmvlforge.models.weights.reading import read_state_dict
from mmvlforge.registry import WEIGHT_INITIALIZERS
from mmvlforge.starter_files import STARTERS, starter_file

__all__ = ['StarterWeights']


@WEIGHT_INITIALIZERS.register_module()
class StarterWeights:
    """Load real weights of an installed package (``requirements/starter.txt``), whose code is not run.

    * ``'efficientnet_lite0'``: EfficientNet-Lite0 of ImageNet, into a TIMMImageEncoder of timm's
      ``tf_efficientnet_lite0`` or the classifier of a ClassProbabilityEncoder;
    * ``'minilm'``: all-MiniLM-L6-v2, into a BertTextEncoder or HFTextEncoder of its shape.

    Args:
        name: Which of them.

    Raises:
        ValueError: There are none of this name.
    """

    def __init__(self, name: str) -> None:
        if name not in STARTERS:
            raise ValueError(f'StarterWeights: name must be one of {sorted(STARTERS)}, got {name!r}')
        self.name = name

    def __call__(self, module: nn.Module) -> None:
        """Load into ``module``.

        Raises:
            ValueError: The package is not installed, its file is not the published one, or ``module`` has another
                shape.
        """
        path = starter_file(self.name)
        if self.name == 'minilm':
            HFPretrained(str(path.parent))(module)
            return
        state_dict = read_state_dict(path)
        converted = convert(state_dict, efficientnet_lite0_names(state_dict), module.state_dict(), str(path))
        if converted.missing:
            raise ValueError(f'{path}: nothing in it for {", ".join(converted.missing[:5])} of {type(module).__name__}')
        module.load_state_dict(converted.state_dict)
