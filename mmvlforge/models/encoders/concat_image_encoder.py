"""Several views of one picture."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule, ModuleList
from torch import Tensor

from mmvlforge.registry import MODELS
from mmvlforge.structures import VLInputs, is_encoded


@MODELS.register_module()
class ConcatImageEncoder(BaseModule):
    """Image encoders side by side: each token has the channels of the first, then those of the second, and so on.

    One that knows things and one that sees traces of forgery, for example: trained for the one, an encoder forgets the
    other. Like its encoders it takes tokens that were made before (see LoadImageFeatures), and hands them on.

    Args:
        encoders: Image encoders of one grid, each returns ``(B, 1 + N, C_k)``.
        scales: What the tokens of each encoder are multiplied with, so that none is loud beside the others; None for 1.
        init_cfg: As in MMEngine.

    Raises:
        ValueError: ``scales`` are not as many as ``encoders``.
    """

    def __init__(
        self, encoders: Sequence[dict], scales: Sequence[float] | None = None, init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)
        self.encoders = ModuleList(MODELS.build(encoder) for encoder in encoders)
        scales = [1.0] * len(encoders) if scales is None else scales
        if len(scales) != len(encoders):
            raise ValueError(f'scales must be one for each of the {len(encoders)} encoders, got {len(scales)}')
        # Saved like weights: features that were kept with others are then refused.
        self.register_buffer('scales', torch.tensor(scales, dtype=torch.float32))

    def forward(self, inputs: VLInputs) -> Tensor:
        """Encode ``inputs.images`` to ``(B, 1 + N, C)``, C the sum of the encoders' channels.

        Raises:
            ValueError: The encoders have different numbers of cells.
        """
        if inputs.images is not None and is_encoded(inputs.images):
            return inputs.images[:, 0]
        found = [scale * encoder(inputs) for scale, encoder in zip(self.scales, self.encoders)]
        if any(tokens.shape[1] != found[0].shape[1] for tokens in found):
            cells = ', '.join(str(tokens.shape[1] - 1) for tokens in found)
            raise ValueError(f'ConcatImageEncoder: the encoders must have one grid, they have {cells} cells')
        return torch.cat(found, dim=-1)
