"""A small BERT that learns to fill gaps in captions."""

from collections.abc import Iterable
from pathlib import Path

import torch.nn.functional as F
from mmengine.model import BaseModel, initialize
from torch import Tensor
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

from mmvlforge.models.weights.key_maps import hf_text_names
from mmvlforge.registry import MODELS
from mmvlforge.starter_files import starter_folder
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
        init_cfg: How to start, for example ``dict(type='StarterWeights', name='minilm')``. A head that is not in the
            folder keeps its random start, its decoder being the word embeddings as ever.
    """

    def __init__(
        self,
        config: dict,
        corruptor: dict,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        # Built here: BaseModel would look in MMEngine's own registry, which needs a default scope.
        super().__init__(MODELS.build(data_preprocessor or dict(type='VLDataPreprocessor')))
        self.start_cfg = init_cfg
        self.model = BertForMaskedLM(BertConfig(**config))
        self.corruptor = MODELS.build(corruptor)

    @property
    def hf_config(self) -> dict:
        """The fields by which Hugging Face describes the model, for HFPretrained."""
        return self.model.config.to_dict()

    @staticmethod
    def hf_names(keys: Iterable[str]) -> dict[str, str]:
        """Names of a folder's body → ours, for HFPretrained."""
        return {key: name.replace('model.', 'model.bert.', 1) for key, name in hf_text_names(keys).items()}

    def init_weights(self) -> None:
        """Initialise the parts, and load ``init_cfg`` over them."""
        super().init_weights()
        if self.start_cfg:
            initialize(self, self.start_cfg)

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
            return self.model.cls(self._hidden(inputs))
        if mode == 'loss':
            text = self.corruptor(inputs)
            masked = text.correction != IGNORE
            # The head, as large as the vocabulary, runs nowhere else.
            logits = self.model.cls(self._hidden(inputs._replace(input_ids=text.input_ids))[masked])
            summed = F.cross_entropy(logits, text.correction[masked], reduction='sum')
            return dict(loss=summed / masked.sum().clamp(min=1))
        raise ValueError(f"mode must be 'loss' or 'tensor', got {mode!r}")

    def _hidden(self, inputs: VLInputs) -> Tensor:
        body = self.model.bert(input_ids=inputs.input_ids, attention_mask=inputs.attention_mask.long())
        return body.last_hidden_state

    def export(self, folder: Path) -> None:
        """Write a Hugging Face folder: config.json, model.safetensors and the tokenizer of the captions."""
        self.model.save_pretrained(folder)
        name = starter_folder(self.corruptor.name)
        AutoTokenizer.from_pretrained(name, trust_remote_code=False).save_pretrained(folder)
