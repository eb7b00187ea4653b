"""A small BERT that learns to fill gaps in captions."""

from pathlib import Path

import torch.nn.functional as F
from mmengine.model import BaseModel
from torch import Tensor
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

from mmvlforge.registry import MODELS
from mmvlforge.structures import IGNORE, VLInputs


@MODELS.register_module()
class MaskedLanguageModel(BaseModel):
    """BERT's masked language modelling on captions alone, for the text edition where no pre-trained BERT fits.

    Every chosen token becomes [MASK]: the text edition asks for nothing else, so BERT's share of kept and random tokens
    is left out. ``HFExportHook`` writes the folder that ``TextCorruptor`` reads.

    Args:
        config: Fields of transformers' ``BertConfig``.
        corruptor: TextCorruptor in mode ``'masked'``.
        data_preprocessor: Defaults to ``VLDataPreprocessor`` as it stands.
        init_cfg: As in MMEngine.
    """

    def __init__(
        self,
        config: dict,
        corruptor: dict,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        # Built here: BaseModel would look in MMEngine's own registry, which needs a default scope.
        super().__init__(MODELS.build(data_preprocessor or dict(type='VLDataPreprocessor')), init_cfg)
        self.model = BertForMaskedLM(BertConfig(**config))
        self.corruptor = MODELS.build(corruptor)

    def forward(
        self, inputs: VLInputs, targets=None, data_samples=None, mode: str = 'tensor'
    ) -> Tensor | dict[str, Tensor]:
        """Run the model.

        Args:
            inputs: The batch; pictures are not looked at.
            targets: Unused.
            data_samples: Unused.
            mode: ``'loss'`` masks tokens and returns the mean cross-entropy over them, 0 if there are none;
                ``'tensor'`` returns the logits of the captions as they stand ``(B, L, V)``.

        Raises:
            ValueError: Another ``mode``.
        """
        if mode == 'tensor':
            return self._logits(inputs)
        if mode == 'loss':
            text = self.corruptor(inputs)
            logits = self._logits(inputs._replace(input_ids=text.input_ids)).flatten(0, 1)
            summed = F.cross_entropy(logits, text.correction.flatten(), ignore_index=IGNORE, reduction='sum')
            return dict(loss=summed / (text.correction != IGNORE).sum().clamp(min=1))
        raise ValueError(f"mode must be 'loss' or 'tensor', got {mode!r}")

    def _logits(self, inputs: VLInputs) -> Tensor:
        return self.model(input_ids=inputs.input_ids, attention_mask=inputs.attention_mask.long()).logits

    def export(self, folder: Path) -> None:
        """Write a Hugging Face folder: config.json, model.safetensors and the tokenizer of the captions."""
        self.model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(self.corruptor.name, trust_remote_code=False).save_pretrained(folder)
