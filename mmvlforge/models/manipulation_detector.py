"""The manipulation detector: encoders, neck, heads (Fig. 1 of the paper)."""

from mmengine.model import BaseModel
from torch import Tensor

from mmvlforge.registry import MODELS
from mmvlforge.structures import FusedFeatures, ManipulationTargets, VLDataSample, VLInputs


@MODELS.register_module()
class ManipulationDetector(BaseModel):
    """Detect and ground manipulation in an image-text pair ("Exploiting Modality-Specific Features", Sec. 2).

    Heads run in the order binary, type, box, token; the box head may read what the type head predicted.

    Args:
        image_encoder: E_i; reads VLInputs, returns ``(B, 1 + N, C_i)``.
        text_encoder: E_t; reads VLInputs, returns ``(B, 1 + M, C_t)``.
        neck: Modality interaction; returns FusedFeatures.
        binary_head: Real or fake (Eq. 5).
        type_head: Which manipulations (Eq. 4).
        token_head: Which words (Eq. 8).
        box_head: Where in the picture (Eq. 7); None where there are no pictures.
        data_preprocessor: Defaults to ``VLDataPreprocessor`` as it stands.
        init_cfg: As in MMEngine.
    """

    def __init__(
        self,
        image_encoder: dict,
        text_encoder: dict,
        neck: dict,
        binary_head: dict,
        type_head: dict,
        token_head: dict,
        box_head: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        # Built here: BaseModel would look in MMEngine's own registry, which needs a default scope.
        super().__init__(MODELS.build(data_preprocessor or dict(type='VLDataPreprocessor')), init_cfg)
        self.image_encoder = MODELS.build(image_encoder)
        self.text_encoder = MODELS.build(text_encoder)
        self.neck = MODELS.build(neck)
        self.binary_head = MODELS.build(binary_head)
        self.type_head = MODELS.build(type_head)
        self.box_head = MODELS.build(box_head) if box_head else None
        self.token_head = MODELS.build(token_head)

    @property
    def heads(self) -> list:
        """The heads in the order in which they run."""
        return [h for h in (self.binary_head, self.type_head, self.box_head, self.token_head) if h is not None]

    def extract_feat(self, inputs: VLInputs) -> FusedFeatures:
        """Encode and fuse one batch (Eq. 1-3)."""
        return self.neck(self.image_encoder(inputs), self.text_encoder(inputs), inputs)

    def forward(
        self,
        inputs: VLInputs,
        targets: ManipulationTargets | None = None,
        data_samples: list[VLDataSample] | None = None,
        mode: str = 'tensor',
    ) -> FusedFeatures | dict[str, Tensor] | list[VLDataSample]:
        """Run the model.

        Args:
            inputs: The batch.
            targets: Its labels; needed for ``mode='loss'``.
            data_samples: Its records; needed for ``mode='predict'``, which fills their ``pred_*`` fields.
            mode: ``'loss'`` returns the weighted losses, ``'predict'`` the records, ``'tensor'`` the features.

        Raises:
            ValueError: Unknown ``mode``, or what it needs is missing.
        """
        if mode == 'tensor':
            return self.extract_feat(inputs)
        if mode == 'loss' and targets is not None:
            features = self.extract_feat(inputs)
            return {name: loss for head in self.heads for name, loss in head.loss(features, targets).items()}
        if mode == 'predict' and data_samples is not None:
            features = self.extract_feat(inputs)
            for head in self.heads:
                head.predict(features, data_samples)
            return data_samples
        raise ValueError(
            f"mode must be 'loss', 'predict' or 'tensor', got {mode!r} ('loss' needs targets, 'predict' data_samples)"
        )
