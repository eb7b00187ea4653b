"""Starter weights: found without running their package, checked, and landing where they belong.

Without the packages the real files' names and shapes are filled at random.
"""

import copy
import hashlib
import json
import os
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import edits  # noqa: F401  registers EveryOtherWord
import numpy as np
import pytest
import timm
import torch
from mmengine.registry import init_default_scope
from PIL import Image

from mmvlforge.models import VLDataPreprocessor
from mmvlforge.models.encoders import (
    BertTextEncoder,
    ClassProbabilityEncoder,
    ConcatImageEncoder,
    SingleLevelEncoder,
    TIMMImageEncoder,
)
from mmvlforge.models.encoders.timm_image_encoder import fold_batch_norms
from mmvlforge.models.weights import HFPretrained, StarterWeights, efficientnet_lite0_names
from mmvlforge.registry import MODELS, WEIGHT_INITIALIZERS
from mmvlforge.starter_files import INSTALL, STARTERS, StarterFile, starter_file, starter_folder
from mmvlforge.structures import CaptionTargets, VLInputs

REAL = Path(os.environ.get('MMVLFORGE_REAL_DATA', Path(__file__).parents[3] / 'shared' / 'data' / 'real'))
real_photos = pytest.mark.skipif(not REAL.is_dir(), reason=f'no {REAL}; MMVLFORGE_REAL_DATA may name the folder')
STEM = dict(type='TIMMImageEncoder', model_name='tf_efficientnet_lite0')


def installed(name: str) -> bool:
    for package in STARTERS[name].packages:
        try:
            distribution(package)
        except PackageNotFoundError:
            continue
        return True
    return False


needs_efficientnet = pytest.mark.skipif(not installed('efficientnet_lite0'), reason=f'not installed: {INSTALL}')
needs_minilm = pytest.mark.skipif(not installed('minilm'), reason=f'not installed: {INSTALL}')


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmvlforge')


def published_names() -> list[str]:
    """Keys of efficientnet-lite0's own file, in its order."""

    def norm(name):
        return [f'{name}.{part}' for part in ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')]

    names = ['_conv_stem.weight', *norm('_bn0')]
    for block in range(16):
        expansion = [f'_blocks.{block}._expand_conv.weight', *norm(f'_blocks.{block}._bn0')] if block else []
        names += [*expansion, f'_blocks.{block}._depthwise_conv.weight', *norm(f'_blocks.{block}._bn1')]
        names += [f'_blocks.{block}._project_conv.weight', *norm(f'_blocks.{block}._bn2')]
    return [*names, '_conv_head.weight', *norm('_bn1'), '_fc.weight', '_fc.bias']


def random_network(name='tf_efficientnet_lite0'):
    """timm's own network with its classifier; norms that change what they get."""
    torch.manual_seed(0)
    network = timm.create_model(name).eval()
    for name, tensor in network.state_dict().items():
        if name.endswith('running_var'):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith(('running_mean', 'bias')):
            tensor.normal_(std=0.2)
    return network


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package that carries the network's weights under the published names, and must not be imported."""
    network = random_network()
    values = network.state_dict().values()
    name = STARTERS['efficientnet_lite0'].name
    info, folder = tmp_path / 'pretend_weights-0.1.0.dist-info', tmp_path / 'pretend_weights'
    info.mkdir()
    (folder / 'models').mkdir(parents=True)
    (folder / '__init__.py').write_text("raise RuntimeError('its code was run')")
    torch.save(dict(zip(published_names(), values)), folder / 'models' / name)
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: pretend-weights\nVersion: 0.1.0\n')
    (info / 'RECORD').write_text(f'pretend_weights/__init__.py,,\npretend_weights/models/{name},,\n')
    digest = hashlib.sha256((folder / 'models' / name).read_bytes()).hexdigest()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(
        STARTERS, 'efficientnet_lite0', StarterFile(('no-such-package', 'pretend-weights'), name, digest)
    )
    return folder / 'models' / name, network


def test_the_file_is_found_without_running_its_package(package):
    assert starter_file('efficientnet_lite0') == package[0]
    assert starter_folder('starter::efficientnet_lite0') == str(package[0].parent)
    assert starter_folder('some/folder') == 'some/folder'
    assert 'pretend_weights' not in sys.modules


def test_a_changed_file_and_a_missing_package_are_told_with_the_command_that_helps(package, monkeypatch):
    with open(package[0], 'ab') as file:
        file.write(b'\0')
    with pytest.raises(ValueError, match='is not the published file: its sha256 is .*--force-reinstall'):
        starter_file('efficientnet_lite0')
    monkeypatch.setitem(STARTERS, 'efficientnet_lite0', StarterFile(('no-such-package',), 'a.pth', ''))
    with pytest.raises(ValueError, match=f'not installed \\(package no-such-package\\): {INSTALL}'):
        starter_file('efficientnet_lite0')
    with pytest.raises(ValueError, match="'lite9' are unknown; choose one of"):
        starter_file('lite9')
    with pytest.raises(ValueError, match="name must be one of .*, got 'lite9'"):
        StarterWeights('lite9')


def test_every_published_key_has_its_place():
    names = efficientnet_lite0_names(published_names())
    own = random_network().state_dict()
    wanted = [key if key.startswith('classifier') else f'backbone.{key}' for key in own]
    assert [names[key] for key in published_names()] == wanted


def test_outputs_are_those_of_the_network_the_weights_are_of(package):
    network = package[1]
    encoder = ClassProbabilityEncoder(
        dict(STEM, init_cfg=dict(type='StarterWeights', name='efficientnet_lite0')),
        init_cfg=dict(type='StarterWeights', name='efficientnet_lite0'),
    )
    encoder.init_weights()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        found = encoder.eval()(VLInputs(images, *(None,) * 3))
        assert torch.allclose(found.cls, network(images).softmax(dim=-1), atol=1e-6)
    assert [level.shape for level in found.levels] == [(2, 4, 1280)]


def test_a_frozen_network_gives_the_same_and_learns_nothing(package):
    start = dict(type='StarterWeights', name='efficientnet_lite0')
    plain, frozen = (TIMMImageEncoder(STEM['model_name'], frozen, init_cfg=start) for frozen in (False, True))
    for encoder in (plain, frozen):
        encoder.init_weights()
    assert not any('running' in name for name in frozen.state_dict())
    inputs = VLInputs(torch.randn(2, 3, 96, 64), *(None,) * 3)
    with torch.no_grad():
        wanted = plain.eval()(inputs)
    assert wanted.shape == (2, 1 + 3 * 2, 1280)
    found = frozen.train()(inputs)
    assert not frozen.backbone.training and not found.requires_grad
    assert (found - wanted).abs().max() < 1e-4
    assert torch.allclose(found[:, 0], found[:, 1:].mean(dim=1), atol=1e-6)
    with pytest.raises(ValueError, match='sides must be multiples of 32'):
        frozen(VLInputs(torch.randn(1, 3, 80, 64), *(None,) * 3))


@pytest.mark.parametrize('name', ['tf_efficientnet_lite0', 'mobilenetv3_small_050', 'resnet18', 'tf_efficientnet_b0'])
def test_folding_is_exact(name):
    network = random_network(name).double()
    images = torch.randn(2, 3, 96, 64, dtype=torch.float64)
    with torch.no_grad():
        wanted = network(images)
        fold_batch_norms(network)
        assert torch.allclose(network(images), wanted, rtol=1e-9, atol=1e-9)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())


def test_in_bfloat16_a_frozen_network_gives_nearly_the_same(package):
    start = dict(type='StarterWeights', name='efficientnet_lite0')
    whole, half = (TIMMImageEncoder(STEM['model_name'], True, bf16, start) for bf16 in (False, True))
    for encoder in (whole, half):
        encoder.init_weights()
    inputs = VLInputs(torch.randn(2, 3, 64, 64), *(None,) * 3)
    found, wanted = half(inputs), whole(inputs)
    assert half.backbone.conv_stem.weight.dtype == torch.bfloat16 and found.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(found[:, 0], wanted[:, 0]).min() > 0.99
    with pytest.raises(ValueError, match='bf16=True needs frozen=True'):
        TIMMImageEncoder(STEM['model_name'], bf16=True)


def test_a_trained_network_learns(package):
    encoder = TIMMImageEncoder(STEM['model_name'])
    encoder.train()(VLInputs(torch.randn(2, 3, 64, 64), *(None,) * 3)).square().mean().backward()
    assert [name for name, parameter in encoder.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize('frozen', [False, True])
def test_a_finer_map_stands_beside_the_last_one(package, frozen):
    start = dict(type='StarterWeights', name='efficientnet_lite0')
    encoder = TIMMImageEncoder(STEM['model_name'], frozen, init_cfg=start, fine_level=3).eval()
    encoder.init_weights()
    images = torch.randn(2, 3, 96, 64)
    with torch.no_grad():
        found = encoder(VLInputs(images, *(None,) * 3))
        last, (fine,) = package[1].forward_intermediates(images, indices=[3])
    assert last.shape == (2, 1280, 3, 2) and fine.shape == (2, 112, 6, 4)
    assert found.shape == (2, 7, 1280 + 4 * 112)
    cells = found[:, 1:].unflatten(1, (3, 2))
    for row, column in ((0, 0), (2, 1), (1, 0)):
        below = fine[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        wanted = torch.cat([last[:, :, row, column], below.flatten(1)], dim=1)
        assert torch.allclose(cells[:, row, column], wanted, atol=1e-4)
    assert torch.allclose(found[:, 0, :1280], last.mean(dim=(2, 3)), atol=1e-4)
    if not frozen:  # else every picture of odd sides is refused
        with pytest.raises(ValueError, match='do not lie evenly below'):
            encoder(VLInputs(torch.randn(2, 3, 80, 64), *(None,) * 3))
    with pytest.raises(ValueError, match='one of the 5 levels of tf_efficientnet_lite0, from 0, got 5'):
        TIMMImageEncoder(STEM['model_name'], fine_level=5)


def test_encoders_side_by_side_one_from_a_checkpoint(package, tmp_path):
    """A trained one is frozen when its part of a checkpoint is loaded: batch norms are folded then."""
    trained = TIMMImageEncoder(STEM['model_name'], fine_level=3).eval()
    for module in trained.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.weight.data.uniform_(0.5, 1.5)
    kept = {f'image_encoder.{name}': value for name, value in trained.state_dict().items()}
    torch.save(dict(state_dict=dict(kept, other=torch.zeros(1))), tmp_path / 'trained.pth')
    part = dict(type='PartPretrained', checkpoint=str(tmp_path / 'trained.pth'), prefix='image_encoder')
    frozen = dict(STEM, frozen=True)
    starter = dict(frozen, init_cfg=dict(type='StarterWeights', name='efficientnet_lite0'))
    encoder = ConcatImageEncoder([starter, dict(frozen, fine_level=3, init_cfg=part)])
    encoder.init_weights()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        found = encoder.train()(VLInputs(images, *(None,) * 3))
        wanted = trained(VLInputs(images, *(None,) * 3))
        knows = package[1].forward_features(images)
    assert found.shape == (2, 5, 2 * 1280 + 4 * 112)
    assert torch.allclose(found[:, 1:, :1280], knows.flatten(2).transpose(1, 2), atol=1e-4)
    assert torch.allclose(found[..., 1280:], wanted, atol=1e-3 * wanted.abs().max())
    assert torch.equal(encoder(VLInputs(found[:, None], *(None,) * 3)), found)
    encoder.scales[1] = 0.5
    assert torch.equal(encoder(VLInputs(images, *(None,) * 3))[..., 1280:], 0.5 * found[..., 1280:])
    with pytest.raises(ValueError, match='scales must be one for each of the 1 encoders, got 2'):
        ConcatImageEncoder([frozen], scales=(1, 2))
    with pytest.raises(ValueError, match=r"trained.pth: nothing of 'other' in it for \d+ weights of TIMMImageEncoder"):
        ConcatImageEncoder([dict(frozen, init_cfg=dict(part, prefix='other'))]).init_weights()
    with pytest.raises(ValueError, match='must have one grid, they have 4, 1 cells'):
        ConcatImageEncoder([frozen, dict(type='NullImageEncoder', embed_dims=8)])(
            VLInputs(images, torch.zeros(2, 1), None, None)
        )


def test_norms_keep_their_statistics_and_learn(package):
    start = dict(type='StarterWeights', name='efficientnet_lite0')
    encoder = TIMMImageEncoder(STEM['model_name'], init_cfg=start, fine_level=3, norm_eval=True)
    encoder.init_weights()
    before = {name: value.clone() for name, value in encoder.state_dict().items() if 'running' in name}
    inputs = VLInputs(torch.randn(2, 3, 64, 64), *(None,) * 3)
    found = encoder.train()(inputs)
    found.square().mean().backward()
    assert encoder.training and all(torch.equal(encoder.state_dict()[name], value) for name, value in before.items())
    with torch.no_grad():
        assert torch.equal(found, encoder.eval()(inputs))
    assert [name for name, parameter in encoder.named_parameters() if parameter.grad is None] == []
    assert encoder.backbone.conv_stem.weight.grad.abs().max() > 0


def test_depthwise_convolutions_stay_in_float32_on_a_cpu():
    encoder = TIMMImageEncoder(STEM['model_name'], norm_eval=True, float32_depthwise=True).train()
    inputs = VLInputs(torch.randn(2, 3, 64, 64), *(None,) * 3)
    with torch.no_grad():
        plain = encoder(inputs)
    other, seen = copy.deepcopy(encoder), {}
    for module in encoder.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda module, _, out: seen.update({module: out.dtype}))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = other(inputs)
        found.square().mean().backward()
        assert not seen  # a copy runs its own weights, not the first one's
        encoder(inputs)
    depthwise = {module: module.groups > 1 for module in seen}
    assert sum(depthwise.values()) == 16 and len(seen) == 49
    assert all((dtype == torch.float32) == depthwise[module] for module, dtype in seen.items())
    assert found.dtype == torch.float32 and torch.allclose(found, plain, rtol=0.1, atol=0.1 * plain.abs().max())


def test_what_a_frozen_network_has_made_passes_it_again():
    frozen = TIMMImageEncoder(STEM['model_name'], frozen=True)
    tokens = torch.randn(2, 5, 1280)
    words = torch.zeros(0, 0, dtype=torch.bool)
    batch = dict(inputs=VLInputs(tokens[:, None].half(), words.long(), words, words), targets=None, data_samples=None)
    inputs = VLDataPreprocessor()(batch)['inputs']
    assert torch.equal(frozen(inputs), tokens.half().float())


def test_a_network_that_is_no_convolutional_one_of_timm():
    with pytest.raises(ValueError, match="'resnet5000' is none of timm"):
        TIMMImageEncoder('resnet5000')
    transformer = TIMMImageEncoder('vit_tiny_patch16_224')
    with pytest.raises(ValueError, match='must be a map'):
        transformer(VLInputs(torch.randn(1, 3, 224, 224), *(None,) * 3))


def test_a_temperature_makes_classes_alike():
    encoder = ClassProbabilityEncoder(dict(STEM, frozen=True), num_classes=7, temperature=2.0)
    tokens = torch.randn(3, 2, 1280)
    found = encoder(VLInputs(tokens[:, None], *(None,) * 3)).cls
    plain = encoder.classifier(tokens[:, 0]).softmax(dim=-1)
    assert torch.allclose(found, plain.sqrt() / plain.sqrt().sum(dim=-1, keepdim=True), atol=1e-6)


def test_the_only_level_of_a_single_level_encoder():
    encoder = SingleLevelEncoder(dict(STEM, frozen=True))
    tokens = torch.randn(3, 5, 1280)
    found = encoder(VLInputs(tokens[:, None], *(None,) * 3))
    assert torch.equal(found.cls, tokens[:, 0]) and torch.equal(found.levels[0], tokens[:, 1:])


def test_minilm_folder_without_the_package(tmp_path):
    """Its file's names, no prefix and position ids, in MiniLM's shape with a short vocabulary."""
    torch.manual_seed(0)
    shape = dict(vocab_size=90, embed_dims=384, num_layers=6, num_heads=12, ffn_dims=1536)
    encoder = BertTextEncoder(**shape, pooling='mean')
    from safetensors.torch import save_file
    from transformers import BertConfig, BertModel

    config = {key: value for key, value in encoder.hf_config.items() if key != 'model_type'}
    theirs = BertModel(BertConfig(**config)).eval()
    weights = {key: value.clone() for key, value in theirs.state_dict().items()}
    save_file({**weights, 'embeddings.position_ids': torch.arange(512)[None]}, tmp_path / 'model.safetensors')
    (tmp_path / 'config.json').write_text(json.dumps(encoder.hf_config))
    HFPretrained(str(tmp_path))(encoder)
    ids, mask = torch.randint(5, 90, (2, 9)), torch.arange(9) < torch.tensor([[9], [4]])
    with torch.no_grad():
        hidden = theirs(ids, attention_mask=mask.long()).last_hidden_state
        found = encoder.eval()(VLInputs(None, ids, mask, mask))
        alone = encoder(VLInputs(None, ids[1:, :4], mask[1:, :4], mask[1:, :4]))
    # sentence-transformers' definition: the mean of what is attended to, [CLS] and [SEP] among it.
    for row, length in enumerate((9, 4)):
        assert torch.allclose(found[row, 0], hidden[row, :length].mean(dim=0), atol=1e-5)
    assert torch.allclose(found[:, 1:4], hidden[:, 1:4], atol=1e-5)
    assert torch.allclose(alone[0, 0], found[1, 0], atol=1e-5)
    with pytest.raises(ValueError, match=r"pooling must be one of \['cls', 'mean'\], got 'max'"):
        BertTextEncoder(**shape, pooling='max')


def picture(name: str) -> torch.Tensor:
    """A photo as the starter models read it: squashed to 224 pixels, mean and standard deviation one half."""
    image = Image.open(REAL / 'tiny_coco' / name).convert('RGB').resize((224, 224), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float()[None] / 127.5 - 1


@needs_efficientnet
def test_every_tensor_of_the_real_file_lands():
    state_dict = torch.load(starter_file('efficientnet_lite0'), weights_only=True)
    assert list(state_dict) == published_names()
    encoder = ClassProbabilityEncoder(STEM)
    own = {name.removeprefix('stem.'): value.shape for name, value in encoder.state_dict().items()}
    names = efficientnet_lite0_names(state_dict)
    assert {names[key]: value.shape for key, value in state_dict.items()} == own


@needs_efficientnet
@real_photos
@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('000000184613.jpg', ('water buffalo', 'ox', 'oxcart')),  # COCO says: cow, person, umbrella
        ('000000483108.jpg', ('electric locomotive', 'passenger car')),  # train
        ('000000309022.jpg', ('microwave',)),  # oven, microwave, sink
        ('000000386164.jpg', ('wooden spoon',)),  # spoons, forks on a table
    ],
)
def test_classes_of_real_photos(name, words):
    from torchvision.models import get_weight

    start = dict(type='StarterWeights', name='efficientnet_lite0')
    encoder = ClassProbabilityEncoder(dict(STEM, frozen=True, init_cfg=start), init_cfg=start)
    encoder.init_weights()
    plain = ClassProbabilityEncoder(dict(STEM, init_cfg=start), init_cfg=start).eval()
    plain.init_weights()
    inputs = VLInputs(picture(f'train2017/{name}'), *(None,) * 3)
    with torch.no_grad():
        found = encoder(inputs).cls
        wanted = plain.stem(inputs)
        assert (encoder.stem(inputs) - wanted).abs().max() < 1e-5 * wanted.abs().max()
        assert torch.allclose(found, plain(inputs).cls, atol=1e-5)
    names = get_weight('EfficientNet_B0_Weights.IMAGENET1K_V1').meta['categories']
    assert names[int(found.argmax())] in words


@needs_minilm
def test_sentences_of_the_real_text_encoder():
    text = MODELS.build(
        dict(
            type='BertTextEncoder',
            embed_dims=384,
            num_layers=6,
            num_heads=12,
            ffn_dims=1536,
            pooling='mean',
            init_cfg=dict(type='StarterWeights', name='minilm'),
        )
    )
    text.init_weights()
    from mmvlforge.datasets.transforms import CaptionTokenizer

    tokenize = CaptionTokenizer('starter::minilm')
    ids = torch.tensor(tokenize(dict(captions=['a dog', 'a puppy', 'a car']))['input_ids'])
    mask = torch.ones_like(ids, dtype=torch.bool)
    with torch.no_grad():
        dog, puppy, car = torch.nn.functional.normalize(text.eval()(VLInputs(None, ids, mask, mask))[:, 0], dim=-1)
    assert float(dog @ puppy) == pytest.approx(0.769, abs=0.002)
    assert float(dog @ car) == pytest.approx(0.333, abs=0.002)


@needs_minilm
def test_words_of_the_real_tokenizer_keep_their_labels():
    """Signs that stand alone or in a word, and pieces of words, belong to the word of ``text.split()``."""
    from mmvlforge.datasets.transforms import WordTokenizer

    text = "Two tri-colored dogs' skateboarding trick , outdoors ."
    found = WordTokenizer('starter::minilm').transform(dict(text=text))
    words = found['word_ids']
    assert words[0] is words[-1] is None and sorted(set(words[1:-1])) == list(range(len(text.split())))
    assert words[1:-1] == sorted(words[1:-1]) and words.count(1) == words.count(2) + 1 == 3


def test_vilem_reads_a_frozen_network_by_both_paths():
    """Grid cells through layers of its own: every loss, and a gradient for all that is trained."""
    image = dict(
        type='HybridImageEncoder',
        stem=dict(STEM, frozen=True),
        stem_dims=1280,
        embed_dims=16,
        num_layers=2,
        num_heads=2,
        ffn_dims=16,
    )
    text = dict(type='BertTextEncoder', vocab_size=40, embed_dims=16, num_layers=2, num_heads=2, ffn_dims=16)
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='ViLEM',
            image_encoder=image,
            text_encoder=dict(text, num_cross_layers=2, pooling='mean', drop=0.0),
            corruptor=dict(type='EveryOtherWord'),
            local_path=dict(type='LocalPath'),
            global_path=dict(type='GlobalPath'),
            detection_head=dict(type='ErrorDetectionHead', in_dims=16),
            correction_head=dict(type='ErrorCorrectionHead', in_dims=16, vocab_size=40),
            contrastive_head=dict(type='ContrastiveHead', embed_dims=8, queue_size=4),
            num_edit_layers=2,
            **dict(image_dims=16, text_dims=16, embed_dims=8),
        )
    )
    mask = torch.ones(2, 6, dtype=torch.bool)
    inputs = VLInputs(torch.randn(2, 3, 64, 64), torch.randint(5, 40, (2, 6)), mask, mask)
    losses = model.train()(inputs, CaptionTargets(torch.arange(2)), mode='loss')
    assert len(losses) == 5
    sum(losses.values()).backward()
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {name for name, parameter in model.named_parameters() if parameter.grad is not None} == learning
    assert not any(name.startswith('image_encoder.stem.') for name in learning)
    assert 'image_encoder.stem_proj.weight' in learning


def test_the_initialiser_is_one_of_the_registry():
    assert WEIGHT_INITIALIZERS.get('StarterWeights') is StarterWeights
