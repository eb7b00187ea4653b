"""Teach an image encoder what forged pictures look like, before a detector reads it."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from torch import Tensor

from mmvlforge.models.layers import mlp
from mmvlforge.registry import MODELS
from mmvlforge.structures import ManipulationTargets, VLDataSample, VLInputs


@MODELS.register_module()
class TraceClassifier(BaseModel):
    """Is a picture forged, and which of its cells: one MLP over an image encoder's tokens.

    Traces of blending are faint and new to an encoder that knows things. In a whole detector, whose losses pull at it
    from all sides, it finds them late or never; asked for nothing else it finds them in some hundred steps. Which cells
    are forged are many answers to each picture where "forged" is one.

    B pictures, N cells.

    Args:
        image_encoder: Returns ``(B, 1 + N, C)``, its first token stands for the picture, the others go row by row.
        in_dims: Its channels C.
        grid: Rows and columns of its cells.
        hidden_dims: Hidden channels of the MLP.
        cell_loss_weight: Weight of the loss of cells.
        cell_pos_weight: How much more a forged cell counts than another one: there are few.
        data_preprocessor: Defaults to ``VLDataPreprocessor`` as it stands.
        init_cfg: As in MMEngine.
    """

    def __init__(
        self,
        image_encoder: dict,
        in_dims: int,
        grid: tuple[int, int],
        hidden_dims: int = 256,
        cell_loss_weight: float = 2.0,
        cell_pos_weight: float = 5.0,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(MODELS.build(data_preprocessor or dict(type='VLDataPreprocessor')), init_cfg)
        self.image_encoder = MODELS.build(image_encoder)
        self.classifier = mlp(in_dims, hidden_dims, 1)
        self.grid: tuple[int, int] = (grid[0], grid[1])
        self.cell_loss_weight = cell_loss_weight
        self.register_buffer('cell_pos_weight', torch.tensor(cell_pos_weight), persistent=False)

    def forward(
        self,
        inputs: VLInputs,
        targets: ManipulationTargets | None = None,
        data_samples: list[VLDataSample] | None = None,
        mode: str = 'tensor',
    ) -> Tensor | dict[str, Tensor] | list[VLDataSample]:
        """Run the model.

        Args:
            inputs: The batch; captions are not read.
            targets: Its labels; needed for ``mode='loss'``. A picture is forged where it has a box.
            data_samples: Its records; needed for ``mode='predict'``, which fills their ``pred_fake_score``.
            mode: ``'loss'`` returns both losses, ``'predict'`` the records, ``'tensor'`` the logits ``(B, 1 + N)``.

        Raises:
            ValueError: Unknown ``mode``, or what it needs is missing; or the cells are not as many as ``grid`` has.
        """
        logits = self.classifier(self.image_encoder(inputs))[..., 0].float()
        if mode == 'tensor':
            return logits
        if mode == 'loss' and targets is not None:
            forged = cell_shares(targets.box, self.grid)
            if logits.shape[1] != 1 + forged.shape[1]:
                raise ValueError(f'grid has {forged.shape[1]} cells, the image encoder gives {logits.shape[1] - 1}')
            return dict(
                loss_picture=F.binary_cross_entropy_with_logits(logits[:, 0], targets.has_box.float()),
                loss_cells=self.cell_loss_weight
                * F.binary_cross_entropy_with_logits(logits[:, 1:], forged, pos_weight=self.cell_pos_weight),
            )
        if mode == 'predict' and data_samples is not None:
            for sample, score in zip(data_samples, logits[:, 0].sigmoid().tolist()):
                sample.pred_fake_score = score
            return data_samples
        raise ValueError(
            f"mode must be 'loss', 'predict' or 'tensor', got {mode!r} ('loss' needs targets, 'predict' data_samples)"
        )


def cell_shares(boxes: Tensor, grid: tuple[int, int]) -> Tensor:
    """Which share of each cell lies in a box, row by row.

    Args:
        boxes: cxcywh in parts of the picture ``(B, 4)``; all zeros is no box.
        grid: Rows and columns.

    Returns:
        ``(B, rows * columns)``, from 0 to 1.
    """

    def covered(center: Tensor, size: Tensor, cells: int) -> Tensor:
        edges = torch.arange(cells, device=boxes.device) / cells
        start, end = ((center + side * size / 2)[:, None] for side in (-1, 1))
        return ((end.minimum(edges + 1 / cells) - start.maximum(edges)) * cells).clamp(min=0)

    rows, columns = covered(boxes[:, 1], boxes[:, 3], grid[0]), covered(boxes[:, 0], boxes[:, 2], grid[1])
    return (rows[:, :, None] * columns[:, None]).flatten(1)
