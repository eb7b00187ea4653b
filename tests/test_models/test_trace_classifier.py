"""Traces of forgery: which cells are taught, and that they can be learnt."""

import pytest
import torch

from mmvlforge.models.trace_classifier import TraceClassifier, cell_shares
from mmvlforge.structures import ManipulationTargets, VLDataSample, VLInputs

PRE = dict(type='VLDataPreprocessor', mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def test_a_cell_is_forged_as_far_as_the_box_covers_it():
    boxes = torch.tensor([[0.5, 0.25, 0.5, 0.5], [0, 0, 0, 0], [0.9, 0.9, 0.4, 0.4]])
    shares = cell_shares(boxes, (2, 4)).unflatten(1, (2, 4))
    assert torch.equal(shares[0], torch.tensor([[0.0, 1, 1, 0], [0, 0, 0, 0]]))
    assert not shares[1].any()
    # x from 0.7 to 1.1 covers a fifth of the third column, y from 0.7 three fifths of the second row
    assert torch.allclose(shares[2, 1], torch.tensor([0, 0, 0.2 * 0.6, 0.6]))


def classifier(**kwargs) -> TraceClassifier:
    encoder = dict(type='ConvImageEncoder', embed_dims=16, num_patches=16)
    return TraceClassifier(encoder, in_dims=16, data_preprocessor=PRE, **kwargs)


def batch(number: int = 16):
    """Noise of which every second picture has a bright square of a cell's size."""
    draw = torch.Generator().manual_seed(0)
    images = 0.1 * torch.randn(number, 3, 64, 64, generator=draw)
    boxes = torch.zeros(number, 4)
    for row in range(0, number, 2):
        y, x = (16 * torch.randint(4, (2,), generator=draw)).tolist()
        images[row, :, y : y + 16, x : x + 16] += 1
        boxes[row] = torch.tensor([x + 8, y + 8, 16, 16]) / 64
    forged = boxes[:, 2] > 0
    nothing = torch.zeros(number, dtype=torch.long)
    words = torch.zeros(number, 0, dtype=torch.bool)
    # "fake" is said by captions too: the picture alone is asked for
    targets = ManipulationTargets(nothing + 1, forged.long(), nothing, boxes, forged, words.long())
    return VLInputs(images, words.long(), words, words), targets


def test_both_losses_fall_and_pictures_are_told_apart():
    torch.manual_seed(0)
    inputs, targets = batch()
    grid = (4, 4)
    model = classifier(grid=grid)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    first = {name: float(loss) for name, loss in model(inputs, targets, mode='loss').items()}
    for _ in range(60):
        optimizer.zero_grad()
        sum(model(inputs, targets, mode='loss').values()).backward()
        optimizer.step()
    last = model(inputs, targets, mode='loss')
    assert all(float(last[name]) < first[name] / 2 for name in ('loss_picture', 'loss_cells'))
    samples = model.eval()(inputs, data_samples=[VLDataSample() for _ in range(16)], mode='predict')
    scores = torch.tensor([sample.pred_fake_score for sample in samples])
    assert scores[targets.has_box].min() > scores[~targets.has_box].max()


def test_what_does_not_fit_is_refused():
    inputs, targets = batch(2)
    with pytest.raises(ValueError, match='grid has 6 cells, the image encoder gives 16'):
        classifier(grid=(2, 3))(inputs, targets, mode='loss')
    with pytest.raises(ValueError, match="mode must be 'loss', 'predict' or 'tensor', got 'loss'"):
        classifier(grid=(4, 4))(inputs, mode='loss')
