from types import SimpleNamespace

import pytest
import torch

from mmvlforge.models.word_patch_maps import word_patch_maps
from mmvlforge.structures import ImageFeatures, VLInputs

MASK = torch.tensor([[False, True, True, False]])
INPUTS = VLInputs(torch.zeros(1, 3, 8, 8), torch.tensor([[1, 7, 8, 2]]), torch.ones(1, 4, dtype=torch.bool), MASK)
# Two heads and four patches, for every token: the attention, and its part in the score of being right.
ATTENTION = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]])
PART = torch.tensor([[1.0, -1.0, 2.0, 0.0], [0.0, 1.0, -3.0, 4.0]])


class Model:
    """Score of token t: t times the sum of attention · part, the second layer's part that of the first, negated."""

    paths = {'local': None, 'global': None}

    def image_encoder(self, inputs):
        return ImageFeatures(torch.zeros(1, 2), (torch.zeros(1, 4, 2),) * 2)

    def read(self, path, image, inputs, return_attention):
        count = len(inputs.input_ids)
        assert image.cls.shape == (count, 2) and image.levels[1].shape == (count, 4, 2)
        if path == 'global':
            return torch.zeros(count, 4, 2), []
        first, second = (ATTENTION[:, None].repeat(count, 1, 4, 1).requires_grad_() for _ in range(2))
        kept = ((first - second) * PART[:, None]).sum((1, 3)) * torch.arange(4)
        return torch.stack([-kept, 0 * kept], dim=-1), [first, second]

    def detection_head(self, tokens):
        return tokens


def test_maps_by_hand():
    # log-odds of being right = t · Σ(first - second) · part, gradients t · part and -t · part
    expected = (PART.clamp(min=0) * ATTENTION).mean(dim=0)
    first = word_patch_maps(Model(), INPUTS, layer=0)
    torch.testing.assert_close(first, torch.stack([expected, 2 * expected]))
    second = word_patch_maps(Model(), INPUTS, layer=1)
    torch.testing.assert_close(second[0], ((-PART).clamp(min=0) * ATTENTION).mean(dim=0))
    both = word_patch_maps(Model(), INPUTS)
    torch.testing.assert_close(both[1], first[1] / first[1].max() + second[1] / second[1].max())
    with torch.no_grad():
        assert torch.equal(word_patch_maps(Model(), INPUTS), both)


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(path='global'), "path 'global' has no cross-attention"),
        (dict(path='none'), "path 'none': this model has local, global"),
        (dict(layer=2), 'layer must be 0 to 1, got 2'),
    ],
)
def test_wrong_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        word_patch_maps(Model(), INPUTS, **kwargs)


def test_a_model_without_detection():
    model = SimpleNamespace(paths=Model.paths, detection_head=None)
    with pytest.raises(ValueError, match='detection_head'):
        word_patch_maps(model, INPUTS)
