"""Projections filled without gradients: ConSE and ridge regression."""

from collections import namedtuple

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from tiny_vilem import WORDS
from torch import nn
from transformers import BertTokenizerFast

from mmvlforge.models import DualEncoder
from mmvlforge.models.weights import ClassNameAlignment, RidgeAlignment
from mmvlforge.models.weights.alignment import PENALTIES, RidgeFit, RidgeSums, encode_pairs, fit_ridge
from mmvlforge.registry import MODELS
from mmvlforge.structures import ImageFeatures, VLInputs

NAMES = ['red car', 'blue car', 'picture']
Sample = namedtuple('Sample', 'index num_images num_captions')


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmvlforge')


def dual_encoder(width: int, text: dict | None = None, **maps) -> DualEncoder:
    text = text or dict(
        type='BertTextEncoder',
        vocab_size=len(WORDS),
        embed_dims=16,
        num_layers=1,
        num_heads=2,
        ffn_dims=16,
        pooling='mean',
        drop=0.0,
        attn_drop=0.0,
    )
    image = dict(type='SingleLevelEncoder', stem=dict(type='NullImageEncoder', embed_dims=width))
    torch.manual_seed(0)
    return DualEncoder(image, text, **dict(dict(image_dims=width, text_dims=16, embed_dims=16), **maps))


def test_conse_is_the_mean_of_class_names_weighed_by_their_probabilities(tmp_path):
    (tmp_path / 'words.txt').write_text('\n'.join(WORDS))
    BertTokenizerFast(vocab_file=str(tmp_path / 'words.txt')).save_pretrained(tmp_path)
    net = dual_encoder(len(NAMES))
    ClassNameAlignment(str(tmp_path), NAMES, 'a {}')(net)
    tokenizer = BertTokenizerFast.from_pretrained(tmp_path)
    features = []
    for name in NAMES:
        ids = torch.tensor([tokenizer(f'a {name}')['input_ids']])
        mask = torch.ones_like(ids, dtype=torch.bool)
        features.append(net.text_encoder(VLInputs(None, ids, mask, mask))[0, 0])
    classes = torch.stack(features)
    probabilities = torch.tensor([[0.7, 0.2, 0.1]])
    wanted = nn.functional.normalize(probabilities @ (classes - classes.mean(dim=0)), dim=-1)
    assert torch.allclose(nn.functional.normalize(net.image_proj(probabilities), dim=-1), wanted, atol=1e-5)
    assert torch.allclose(net.text_proj(classes), classes - classes.mean(dim=0), atol=1e-5)


def test_class_names_of_imagenet_and_a_model_that_does_not_fit(tmp_path):
    names = ClassNameAlignment('starter::minilm').class_names
    assert len(names) == 1000 and names[0] == 'tench' and names[-1] == 'toilet tissue'
    (tmp_path / 'words.txt').write_text('\n'.join(WORDS))
    BertTokenizerFast(vocab_file=str(tmp_path / 'words.txt')).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match='set image_dims=3, text_dims=16 and embed_dims=16'):
        ClassNameAlignment(str(tmp_path), NAMES)(dual_encoder(5))


@pytest.mark.parametrize('reads', [dict(causal=True, eos_id=3), dict(causal=False, eos_id=None)])
def test_sentences_are_read_where_the_text_encoder_has_them(tmp_path, reads):
    """CLIP's at its end, SigLIP's at the last of all positions: for both alignments as when the model retrieves."""
    size = dict(vocab_size=len(WORDS), embed_dims=16, num_layers=1, num_heads=2, ffn_dims=16, max_length=9)
    net = dual_encoder(len(NAMES), dict(type='PreNormTextEncoder', **size, **reads))
    ids = torch.tensor([[2, 5, 6, 3, 0], [2, 5, 9, 15, 3]])
    mask = torch.arange(5) < torch.tensor([[4], [5]])
    inputs = VLInputs(torch.zeros(2, 3, 8, 8), ids, mask, mask)
    batch = dict(inputs=inputs, data_samples=[Sample(0, 1, 2), Sample(1, 1, 0)])
    net.data_preprocessor = nn.Identity()
    ((_, texts, _),) = encode_pairs(net, [batch])
    assert [len(rows) for rows in texts] == [2, 0] and net.training
    wanted = net.eval().encode_texts(inputs)
    assert torch.allclose(nn.functional.normalize(net.text_proj(texts[0]), dim=-1), wanted, atol=1e-6)
    (tmp_path / 'words.txt').write_text('\n'.join(WORDS))
    BertTokenizerFast(vocab_file=str(tmp_path / 'words.txt')).save_pretrained(tmp_path)
    ClassNameAlignment(str(tmp_path), NAMES, 'a {}')(net)
    tokenizer = BertTokenizerFast.from_pretrained(tmp_path)
    centred = torch.zeros(16)
    for name in NAMES:
        ids = torch.tensor([tokenizer(f'a {name}')['input_ids']])
        mask = torch.ones_like(ids, dtype=torch.bool)
        inputs = VLInputs(None, ids, mask, mask)
        centred += net.text_proj(net.text_encoder.pool(net.text_encoder(inputs), inputs))[0]
    assert torch.allclose(centred, torch.zeros(16), atol=1e-5)


def pairs(count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 6, generator=generator) + 2
    return images, images @ torch.randn(6, 4, generator=generator) + torch.randn(count, 4, generator=generator) / 9


@pytest.mark.parametrize('size', [1, 7, 256, 300, 1000])
def test_sums_are_the_same_to_the_last_bit_for_any_chunks(size):
    images, texts = pairs(1000)
    whole, chunked = RidgeSums(6, 4), RidgeSums(6, 4)
    whole.add(images, texts)
    for image, text in zip(images.split(size), texts.split(size)):
        chunked.add(image, text)
    assert torch.equal(chunked.total(), whole.total())


@pytest.mark.parametrize('penalty', [0.1, 10.0, 1000.0])
def test_ridge_is_the_solution_of_its_normal_equations(penalty):
    images, texts = pairs(500)
    sums, others = RidgeSums(6, 4), RidgeSums(6, 4)
    sums.add(images[:300], texts[:300])
    others.add(images[300:], texts[300:])
    fit = RidgeFit.of(sums.total(others))
    x, y = (side.double().numpy() - side.double().numpy().mean(axis=0) for side in (images, texts))
    wanted = np.linalg.solve(x.T @ x + penalty * np.eye(6), x.T @ y).T
    np.testing.assert_allclose(fit.weight(penalty).numpy(), wanted, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fit.image_mean.numpy(), images.double().mean(dim=0).numpy(), rtol=1e-12)


def test_features_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match='not finite'):
        RidgeSums(2, 1).add(torch.tensor([[1.0, float('nan')]]), torch.ones(1, 1))


class Known(nn.Module):
    """A dual encoder whose encoders look their features up: pictures by number, captions by number."""

    def __init__(self, images: torch.Tensor, texts: torch.Tensor) -> None:
        super().__init__()
        self.image_proj, self.text_proj = nn.Linear(images.shape[1], 4), nn.Linear(4, 4)
        self.images, self.texts = images, texts

    def data_preprocessor(self, batch):
        return batch

    def image_encoder(self, inputs):
        return ImageFeatures(self.images[inputs.images], ())

    def text_encoder(self, inputs):
        return self.texts[inputs.input_ids][:, None]


class Loader(list):
    """Batches of so many pictures, with one caption or two."""

    def __init__(self, count: int, size: int) -> None:
        self.dataset = range(count)
        captions = [[2 * i] if i % 3 else [2 * i, 2 * i + 1] for i in range(count)]
        for rows in torch.arange(count).split(size):
            ids = torch.tensor([number for row in rows.tolist() for number in captions[row]])
            samples = [Sample(row, 1, len(captions[row])) for row in rows.tolist()]
            self.append(dict(inputs=VLInputs(rows, ids, None, None), data_samples=samples))


def fitted(size: int, penalties=(1, 100, 1e6), seed: int = 0) -> tuple[Known, object]:
    images, texts = pairs(120)
    captions = texts.repeat_interleave(2, dim=0) + torch.randn(240, 4, generator=torch.Generator().manual_seed(1)) / 99
    net = Known(images, captions)
    return net, fit_ridge(net, Loader(120, size), penalties, 0.2, seed)


def test_a_fit_chooses_its_penalty_on_pictures_that_it_has_not_seen_and_finds_captions():
    net, found = fitted(7)
    assert len(found.held_out) == 24 and found.penalty == 1
    assert found.scores[1]['RSUM'] > found.scores[1e6]['RSUM']
    assert 'penalty 1 (RSUM on 24 pictures that were held out: 1: ' in str(found)
    images, texts = pairs(120)
    scores = (
        nn.functional.normalize(net.image_proj(images), dim=-1)
        @ nn.functional.normalize(net.text_proj(texts), dim=-1).T
    )
    assert (scores.argmax(dim=1) == torch.arange(120)).float().mean() > 0.6
    assert torch.equal(net.text_proj.weight, torch.eye(4))


def test_a_fit_depends_on_neither_batches_nor_chance():
    net, found = fitted(7)
    for size in (1, 120):
        other, again = fitted(size)
        assert again == found
        assert torch.equal(other.image_proj.weight, net.image_proj.weight)
        assert torch.equal(other.text_proj.bias, net.text_proj.bias)
    assert fitted(7, seed=1)[1].held_out != found.held_out


def test_one_penalty_holds_nothing_out_and_too_few_pictures_are_told():
    assert fitted(7, (3,))[1] == (3, [], {})
    net = Known(*pairs(4))
    with pytest.raises(ValueError, match='4 pictures are too few to hold 20% of them out'):
        fit_ridge(net, Loader(4, 2), (1, 2), 0.2, 0)
    two = Loader(10, 2)
    two[0]['data_samples'][0] = Sample(0, 2, 1)
    with pytest.raises(ValueError, match='item 0 has 2 pictures, to align it must have one'):
        fit_ridge(Known(*pairs(20)), two, (1, 2), 0.2, 0)


@pytest.mark.parametrize(
    'maps', [dict(image_dims=None), dict(proj_bias=False), dict(embed_dims=8), dict(text_dims=None)]
)
def test_maps_that_cannot_be_filled_are_refused_before_anything_is_encoded(maps):
    """Of SigLIP, CLIP, the paper's model, and one whose sentences are taken as they are."""
    told = 'set image_dims=16, text_dims=16 and embed_dims=16, and proj_bias=True'
    with pytest.raises(ValueError, match=told):
        fit_ridge(dual_encoder(16, **maps), Loader(10, 2), (1, 2), 0.2, 0)


class Layered(nn.Module):
    """An image encoder that maps what its stem looks up, [CLS] first."""

    def __init__(self, stem: nn.Module) -> None:
        super().__init__()
        self.stem, self.stem_proj = stem, nn.Linear(6, 4)

    def forward(self, inputs):
        return ImageFeatures(self.stem_proj(self.stem(inputs))[:, 0], ())


class Stem(nn.Module):
    def __init__(self, images: torch.Tensor) -> None:
        super().__init__()
        self.images = images

    def forward(self, inputs):
        return self.images[inputs.images][:, None].repeat(1, 3, 1)


class KnownBelow(Known):
    """Its image encoder has the features below another map."""

    def __init__(self, images: torch.Tensor, texts: torch.Tensor) -> None:
        super().__init__(images, texts)
        self.layered = Layered(Stem(images))
        self.image_proj = nn.Linear(4, 4)

    def image_encoder(self, inputs):
        return self.layered(inputs)


def below(keep, monkeypatch, images=None, **kwargs) -> KnownBelow:
    """A network aligned below its image encoder's own map."""
    known, texts = pairs(240)
    monkeypatch.setattr('mmengine.runner.Runner.build_dataloader', lambda cfg: Loader(120, 7))
    net = KnownBelow(known if images is None else images, texts)
    where = dict(features='layered.stem', projection='layered.stem_proj', keep=keep and str(keep))
    RidgeAlignment(dict(type='of pictures'), **(where | kwargs))(net)
    return net


def test_a_map_below_is_fitted_as_the_last_one_would_be(monkeypatch):
    images, texts = pairs(240)
    direct = Known(images, texts)
    fit_ridge(direct, Loader(120, 7), PENALTIES, 0.1, 0)
    net = below(None, monkeypatch)
    assert torch.equal(net.layered.stem_proj.weight, direct.image_proj.weight)
    inputs = VLInputs(torch.arange(5), None, None, None)
    torch.testing.assert_close(net.image_proj(net.image_encoder(inputs).cls), direct.image_proj(images[:5]))


def test_a_solution_is_kept_and_belongs_to_its_encoders_and_settings(tmp_path, monkeypatch):
    keep = tmp_path / 'new' / 'ridge.safetensors'
    torch.manual_seed(3)
    first = below(keep, monkeypatch)
    drawn = torch.rand(1)
    assert [path.name for path in keep.parent.iterdir()] == ['ridge.safetensors']
    torch.manual_seed(3)
    with monkeypatch.context() as patch:
        patch.setattr('mmvlforge.models.weights.alignment.solve_ridge', None)  # no second fit
        again = below(keep, patch)
    assert torch.equal(torch.rand(1), drawn)  # chance goes on as if there had been a fit
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values()))
    with pytest.raises(ValueError, match='ridge.safetensors: was fitted with the settings'):
        below(keep, monkeypatch, seed=1)
    with pytest.raises(ValueError, match='ridge.safetensors: was fitted to other encoders or captions'):
        below(keep, monkeypatch, images=pairs(240, seed=1)[0])


def test_settings_that_are_wrong():
    for wrong in (dict(penalties=()), dict(penalties=(0, 1)), dict(holdout=1.0)):
        with pytest.raises(ValueError, match='RidgeAlignment: needs penalties above 0'):
            RidgeAlignment({}, **wrong)
    assert MODELS.get('DualEncoder') is DualEncoder


def test_a_neck_begins_at_an_aligned_model(tmp_path):
    """Pictures and captions then are where the aligned model has them; further channels say nothing at first."""
    net = dual_encoder(6)
    torch.save(net.state_dict(), tmp_path / 'aligned.pth')
    start = dict(type='AlignedPretrained', checkpoint=str(tmp_path / 'aligned.pth'))
    layers = dict(num_image_layers=0, num_text_layers=0, num_heads=2, ffn_dims=16)
    neck = MODELS.build(
        dict(type='DCANeck', image_dims=9, text_dims=16, embed_dims=16, image_grid=(2, 2), init_cfg=start, **layers)
    )
    neck.init_weights()
    image, text = torch.randn(3, 5, 9), torch.randn(3, 4, 16)
    mask = torch.ones(3, 4, dtype=torch.bool)
    found = neck(image, text, VLInputs(None, mask.long(), mask, mask))
    assert torch.allclose(found.image_cls, net.image_proj(image[:, 0, :6]), atol=1e-6)
    assert torch.allclose(found.text_cls, net.text_proj(text[:, 0]), atol=1e-6)
    found.image_cls.sum().backward()
    assert neck.image_transform.weight.grad[:, 6:].abs().min() > 0  # they learn
    comparing = MODELS.build(
        dict(
            type='DCANeck',
            image_dims=9,
            text_dims=16,
            embed_dims=16,
            init_cfg=dict(start, compare=4.0),
            **dict(layers, num_text_layers=1),
        )
    )
    comparing.init_weights()
    assert torch.allclose(comparing.modality_embed[0].norm(), torch.tensor(4.0))
    narrow = MODELS.build(dict(type='DCANeck', image_dims=5, text_dims=16, embed_dims=16, init_cfg=start, **layers))
    with pytest.raises(ValueError, match=r'image_transform.weight: the file has shape \(16, 6\), .* \(16, 5\)'):
        narrow.init_weights()
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / 'other.pth')
    narrow.init_cfg = dict(start, checkpoint=str(tmp_path / 'other.pth'))
    narrow._is_init = False
    with pytest.raises(ValueError, match='not an aligned dual encoder: no image_proj.weight'):
        narrow.init_weights()
