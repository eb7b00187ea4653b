"""CLIP, SigLIP 2 and open_clip as encoders: equal to the libraries' own, and trained by ViLEM."""

import json

import edits  # noqa: F401  registers EveryOtherWord
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from transformers import (
    AutoConfig,
    AutoModel,
    CLIPConfig,
    CLIPModel,
    CLIPVisionModel,
    SiglipConfig,
    SiglipModel,
    SiglipVisionModel,
)

from mmvlforge.apis.loading import load_trained
from mmvlforge.cli import main
from mmvlforge.config_files import config_folder, load_config
from mmvlforge.export.retriever import as_retriever
from mmvlforge.models.encoders import HFImageEncoder, HFTextEncoder, PreNormTextEncoder
from mmvlforge.models.weights import hub, open_clip_names, unstack_open_clip
from mmvlforge.registry import MODELS
from mmvlforge.structures import CaptionTargets, VLInputs

SMALL = dict(hidden_size=24, num_hidden_layers=12, num_attention_heads=4, intermediate_size=32)


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmvlforge')


def randomise(module):
    """Values that matter, norms near 1; quick, for models of real size."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.uniform_(-0.1, 0.1, generator=generator)
            if 'norm' in name.lower() or '.ln_' in name:
                parameter += name.endswith('weight')
    return module.eval()


def batch(size, vocab_size, eos=None, lengths=(7, 5)):
    """Two pictures and two captions, ``eos`` being their last token."""
    generator = torch.Generator().manual_seed(1)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    ids = torch.randint(5, vocab_size - 2, mask.shape, generator=generator)
    if eos is not None:
        ids.scatter_(1, mask.sum(1, keepdim=True) - 1, eos)
    words = mask.clone()
    words[:, 0] = False
    words.scatter_(1, mask.sum(1, keepdim=True) - 1, False)
    images = torch.randn(2, 3, size, size, generator=generator)
    return VLInputs(images, ids.masked_fill(~mask, 0), mask, words)


def small_clip(**text):
    vision = dict(SMALL, image_size=32, patch_size=8)
    text = dict(SMALL, hidden_size=16, vocab_size=50, eos_token_id=49, max_position_embeddings=9) | text
    return randomise(CLIPModel(CLIPConfig(text, vision, projection_dim=12)))


def small_siglip(**text):
    vision = dict(SMALL, image_size=32, patch_size=8)
    text = dict(SMALL, vocab_size=50, max_position_embeddings=9, projection_size=24, pad_token_id=0) | text
    return randomise(SiglipModel(SiglipConfig(text, vision)))


def settings(family, config, small=True, **more):
    """One of our configs' models, with the size of ``small_*`` on demand."""
    model = load_config(f'vilem/vilem_{family}_b16_coco_{config}').model.to_dict()
    if small:
        size = dict(SMALL, image_size=32, patch_size=8)
        if family == 'open_clip':
            model['image_encoder'].update(arch='tiny-clip')
        else:
            model['image_encoder']['config'].update(size)
        width = 24 if family == 'siglip2' else 16
        model['text_encoder'].update(embed_dims=width, num_heads=4, ffn_dims=32, vocab_size=50, max_length=9)
        model['embed_dims'] = 24 if family == 'siglip2' else 12
        model['text_dims'] = width
        if model['image_dims']:
            model['image_dims'] = 24
        if family != 'siglip2':
            model['text_encoder'].update(eos_id=49)
        if config == 'ft':
            model['text_encoder'].update(memory_dims=24, shift_dims=12 if family == 'open_clip' else 24)
            model['corruptor'] = dict(type='EveryOtherWord', vocab_size=45)
            model['detection_head'].update(in_dims=width)
            model['correction_head'].update(in_dims=width, vocab_size=50)
            if family != 'siglip2':
                model['contrastive_head'].update(embed_dims=12, queue_size=6)
    model.update(more)
    return model


def their_features(theirs, inputs):
    """z of both sides, as transformers has them."""
    text = dict(input_ids=inputs.input_ids)
    if isinstance(theirs, CLIPModel):
        text['attention_mask'] = inputs.attention_mask.long()
    else:  # its tokenizer fills captions up, and gives no mask
        room = theirs.config.text_config.max_position_embeddings - inputs.input_ids.shape[1]
        text['input_ids'] = F.pad(inputs.input_ids, (0, room))
    found = theirs(pixel_values=inputs.images, **text)
    return found.image_embeds, found.text_embeds


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('family, model', [('clip', small_clip), ('siglip2', small_siglip)])
@pytest.mark.parametrize('config', ['zeroshot', 'ft'])
def test_a_local_folder_gives_the_librarys_features_scale_and_bias(tmp_path, family, model, config):
    theirs, eos = model(), 49 if family == 'clip' else None
    with torch.no_grad():
        theirs.logit_scale.fill_(3.0)
    theirs.save_pretrained(tmp_path)
    ours = MODELS.build(settings(family, config, init_cfg=dict(type='HubPretrained', name=str(tmp_path))))
    ours.init_weights()
    ours.eval()
    inputs = batch(32, 50, eos)
    with torch.no_grad():
        image, text = their_features(theirs, inputs)
        close(ours(inputs).image, image)
        close(ours(inputs).text, text)
        tower = {'clip': CLIPVisionModel, 'siglip2': SiglipVisionModel}[family].from_pretrained(tmp_path).eval()
        hidden = tower(inputs.images, output_hidden_states=True).hidden_states[1:]
        levels = ours.image_encoder(inputs).levels
        if family == 'clip':
            hidden = [h[:, 1:] for h in hidden]
        assert len(hidden) == len(levels) == 12 and levels[0].shape == (2, 16, 24)
        for level, state in zip(levels, hidden):
            close(level, state)
    if config == 'ft' and family == 'clip':
        assert ours.contrastive_head.temperature.item() == pytest.approx(torch.tensor(-3.0).exp().item())
        keys = ours.momentum.state_dict()  # begin where the encoders are, without what only proofreading needs
        assert torch.equal(keys['text_proj.weight'], theirs.text_projection.weight)
        assert not [name for name in keys if 'cross' in name or 'shift' in name or 'memory' in name]
    elif config == 'ft':
        assert ours.contrastive_head.logit_scale.item() == 3
        assert torch.equal(ours.contrastive_head.logit_bias, theirs.logit_bias.detach()[0])
        assert not list(ours.momentum.parameters())


def test_old_configs_of_clip_say_another_end_of_the_caption(tmp_path):
    """openai/clip-vit-base-patch16 says eos_token_id 2, and means its largest."""
    theirs = small_clip(eos_token_id=2)
    theirs.save_pretrained(tmp_path)
    ours = MODELS.build(settings('clip', 'zeroshot', init_cfg=dict(type='HubPretrained', name=str(tmp_path))))
    ours.init_weights()
    inputs = batch(32, 50, 49)
    with torch.no_grad():
        close(ours.eval()(inputs).text, their_features(theirs, inputs)[1])


def of_real_size(make):
    """A model with all of a real one's tensors, without the minutes of its own initialisation."""
    with torch.device('meta'):
        model = make()
    model = randomise(model.to_empty(device='cpu'))
    return number_positions(model)


def number_positions(model):
    """Buffers that no checkpoint has, and that the meta device emptied."""
    for module in model.modules():
        if getattr(module, 'position_ids', None) is not None:
            module.position_ids = torch.arange(module.position_ids.shape[-1])[None]
    return model


def ours_of_real_size(model, names, state):
    """Our model with the very tensors of another: every name and shape must fit."""
    with torch.device('meta'):
        ours = MODELS.build(model)
    left = {'logit_scale', 'logit_bias'}
    given = {names[key]: value for key, value in state.items() if key not in left}
    ours.load_state_dict(given, assign=True)
    return number_positions(ours).eval()


@pytest.mark.parametrize('family, size', [('clip', 224), ('siglip2', 256), ('siglip2', 512)])
def test_real_architecture_of_transformers(family, size):
    if family == 'clip':
        theirs = of_real_size(lambda: CLIPModel(CLIPConfig({}, dict(patch_size=16))))
    else:
        text = dict(vocab_size=256000)
        theirs = of_real_size(lambda: SiglipModel(SiglipConfig(text, dict(image_size=size, patch_size=16))))
    model = settings(family, 'zeroshot', small=False)
    model['image_encoder']['config']['image_size'] = size
    with torch.device('meta'):
        names = hub.hub_names(MODELS.build(model), theirs.state_dict())
    ours = ours_of_real_size(model, names, theirs.state_dict())
    eos = 49407 if family == 'clip' else 1
    inputs = batch(size, 49408, eos)._replace(images=batch(size, 49408).images[:1])
    with torch.no_grad():
        image, text = their_features(theirs, inputs)
        close(ours.encode_images(inputs), image)
        close(ours.encode_texts(inputs), text)


@pytest.fixture(scope='module')
def open_clip():
    return pytest.importorskip('open_clip', reason='comes with the extra open-clip')


@pytest.mark.parametrize('arch', ['ViT-B-16', 'ViT-B-32'])
def test_real_architecture_of_open_clip(open_clip, arch):
    theirs = randomise(open_clip.create_model(arch, pretrained=None))
    model = settings('open_clip', 'zeroshot', small=False)
    model['image_encoder']['arch'] = arch
    state = unstack_open_clip({k: v for k, v in theirs.state_dict().items() if k != 'logit_scale'})
    ours = ours_of_real_size(model, open_clip_names(state), state)
    inputs = batch(224, 49408, 49407)
    filled = F.pad(inputs.input_ids, (0, 70))
    with torch.no_grad():
        close(ours.encode_images(inputs), theirs.encode_image(inputs.images, normalize=True))
        close(ours.encode_texts(inputs), theirs.encode_text(filled, normalize=True))
        found = theirs.forward_intermediates(inputs.images, image_output_fmt='NLC', intermediates_only=True)
        for level, state in zip(ours.image_encoder(inputs).levels, found['image_intermediates'], strict=True):
            close(level, state)


@pytest.fixture(scope='module')
def tiny_clip(open_clip, tmp_path_factory):
    """An architecture of open_clip in small, 'tiny-clip', and a file of weights for it."""
    folder = tmp_path_factory.mktemp('open_clip')
    vision = dict(image_size=32, layers=12, width=24, head_width=6, patch_size=8, mlp_ratio=1.5)
    text = dict(context_length=9, vocab_size=50, width=16, heads=4, layers=12, mlp_ratio=2.0)
    (folder / 'tiny-clip.json').write_text(json.dumps(dict(embed_dim=12, vision_cfg=vision, text_cfg=text)))
    open_clip.add_model_config(folder)
    theirs = randomise(open_clip.create_model('tiny-clip', pretrained=None))
    torch.save(theirs.state_dict(), folder / 'tiny.pt')
    return theirs, str(folder / 'tiny.pt')


def test_open_clips_weights_from_a_file(open_clip, tiny_clip):
    theirs, file = tiny_clip
    start = dict(type='OpenCLIPPretrained', pretrained=file)
    ours = MODELS.build(settings('open_clip', 'ft', init_cfg=start))
    ours.init_weights()
    inputs = batch(32, 50, 49)
    with torch.no_grad():
        found = ours.eval()(inputs)
        close(found.image, theirs.encode_image(inputs.images, normalize=True))
        close(found.text, theirs.encode_text(F.pad(inputs.input_ids, (0, 2)), normalize=True))
    assert ours.contrastive_head.temperature.item() == pytest.approx((-theirs.logit_scale).exp().item())
    wrong = settings('open_clip', 'zeroshot', init_cfg=start)
    wrong['text_encoder'].update(activation='quick_gelu')
    with pytest.raises(ValueError, match="hidden_act is 'gelu' there, 'quick_gelu' in the config"):
        MODELS.build(wrong).init_weights()
    start['pretrained'] = 'nowhere.pt'
    with pytest.raises(ValueError, match="init_cfg.pretrained='nowhere.pt': no such file, .* for tiny-clip: none"):
        MODELS.build(settings('open_clip', 'zeroshot', init_cfg=start)).init_weights()
    with pytest.raises(ValueError, match="open_clip knows no architecture 'ViT-Z'"):
        MODELS.build(dict(type='OpenCLIPImageEncoder', arch='ViT-Z'))
    start['pretrained'] = 'openai'
    with pytest.raises(ValueError, match='were trained as ViT-B-16-quickgelu: set image_encoder.arch to that'):
        with torch.device('meta'):
            model = MODELS.build(settings('open_clip', 'zeroshot', small=False))
        hub.OpenCLIPPretrained('openai')(model)


def test_a_missing_open_clip_is_told(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError("No module named 'open_clip'")

    monkeypatch.setattr(hub, 'import_module', missing)
    with pytest.raises(ValueError, match=r"open_clip is not installed.*pip install 'mmvlforge\[open-clip\]'"):
        MODELS.build(dict(type='OpenCLIPImageEncoder', arch='ViT-B-16'))


@pytest.mark.parametrize('family', ['clip', 'siglip2', 'open_clip'])
def test_vilem_teaches_every_parameter(request, family):
    if family == 'open_clip':
        request.getfixturevalue('tiny_clip')
    torch.manual_seed(0)
    model = MODELS.build(settings(family, 'ft', init_cfg=None)).train()
    inputs = batch(32, 50, None if family == 'siglip2' else 49)
    losses = model(inputs, CaptionTargets(torch.arange(2)), mode='loss')
    tasks = {f'loss_{path}_{task}' for path in ('local', 'global') for task in ('detection', 'correction')}
    assert set(losses) == {'loss_align', *tasks} and all(loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    learnt = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    idle = [name for name, gradient in learnt.items() if gradient is None or not gradient.abs().sum() > 0]
    # Softmax does not see what is added to all scores of a query: true of any attention.
    assert [name for name in idle if not name.endswith(('key.bias', 'k_proj.bias'))] == []


def test_a_loss_without_momentum_has_no_momentum_features():
    with pytest.raises(ValueError, match='momentum_features=True needs a contrastive_head with momentum encoders'):
        MODELS.build(settings('siglip2', 'ft', init_cfg=None, momentum_features=True))


def text_tower(**more):
    size = dict(vocab_size=50, embed_dims=16, num_layers=4, num_heads=4, ffn_dims=32, max_length=9, eos_id=49)
    return randomise(PreNormTextEncoder(**size, num_cross_layers=2, memory_dims=24, shift_dims=24, **more))


@pytest.mark.parametrize('edit_causal', [True, False])
def test_proofreading_reads_as_it_is_told(edit_causal):
    """What a later word changes: nothing before it as CLIP reads, and all as the paper's BERT reads."""
    encoder, inputs = text_tower(edit_causal=edit_causal), batch(32, 50, 49)
    memory = list(torch.randn(2, 2, 5, 24, generator=torch.Generator().manual_seed(3)))
    other = inputs.input_ids.clone()
    other[0, 4] += 1
    with torch.no_grad():
        moved = encoder(inputs._replace(input_ids=other), 2, memory=memory) - encoder(inputs, 2, memory=memory)
        assert (moved[0, :4].abs().max() > 1e-4) == (not edit_causal) and moved[0, 4:].abs().max() > 1e-4
        whole = encoder(inputs._replace(input_ids=other)) - encoder(inputs)
        assert not whole[0, :4].any()  # the pass for retrieval stays CLIP's
        # Padding is never read.
        longer = VLInputs(None, *(F.pad(t, (0, 2)) for t in inputs[1:]))
        close(encoder(longer, 2, memory=memory)[:, :7], encoder(inputs, 2, memory=memory))
    with pytest.raises(ValueError, match='edit_causal=True needs causal=True'):
        text_tower(causal=False, edit_causal=True)


def test_picture_and_stopping_early():
    encoder, inputs = text_tower(), batch(32, 50, 49)
    generator = torch.Generator().manual_seed(3)
    memory, shift = list(torch.randn(2, 2, 5, 24, generator=generator)), torch.randn(2, 24, generator=generator)
    with torch.no_grad():
        x = encoder.word_embed(inputs.input_ids) + encoder.position_embed.weight[:7]
        for layer, patches in zip(encoder.layers, memory):
            x = layer(x, memory=patches, causal=True)
        tokens = encoder(inputs, 2, memory=memory)
        close(tokens, (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt())
        assert not torch.allclose(encoder(inputs, 2, memory=memory[::-1]), tokens, atol=0.01)
        x = encoder.word_embed(inputs.input_ids) + encoder.position_embed.weight[:7]
        x = encoder.layers[0](x + encoder.shift_proj(shift)[:, None], causal=True)
        close(encoder(inputs, 1, shift=shift), F.layer_norm(x, (16,)))
    tokens, maps = encoder(inputs, 2, memory=memory, return_attention=True)
    close(tokens, encoder(inputs, 2, memory=memory))
    assert [m.shape for m in maps] == [(2, 4, 7, 5)] * 2
    assert all(g.abs().sum() > 0 for g in torch.autograd.grad(tokens[0, 2, 0], maps))
    with pytest.raises(ValueError, match='a caption of 12 tokens; max_length is 9'):
        encoder(batch(32, 50, 49, lengths=(12, 3)))
    with pytest.raises(ValueError, match='3 memories for num_cross_layers 2'):
        encoder(inputs, memory=memory + memory[:1])
    plain = PreNormTextEncoder(50, 16, 2, 4, 32, 9)
    with pytest.raises(ValueError, match='needs shift_dims'):
        plain(inputs, 1, shift=shift)
    with pytest.raises(ValueError, match="activation must be one of gelu, quick_gelu, .*got 'relu'"):
        PreNormTextEncoder(50, 16, 2, 4, 32, 9, activation='relu')


def test_siglips_tower_fills_captions_up_itself():
    """The feature is that of the last position, whoever has filled the caption; proofreading gives back L tokens."""
    inputs = batch(32, 50)
    size = dict(vocab_size=50, embed_dims=16, num_layers=4, num_heads=4, ffn_dims=32, max_length=9)
    encoder = randomise(PreNormTextEncoder(**size, causal=False, eos_id=None))
    filled = VLInputs(None, F.pad(inputs.input_ids, (0, 2)), torch.ones(2, 9, dtype=torch.bool), inputs.word_mask)
    with torch.no_grad():
        tokens = encoder(inputs)
        assert tokens.shape == (2, 9, 16) and encoder(inputs, 2).shape == (2, 7, 16)
        close(encoder.pool(tokens, inputs), encoder.pool(encoder(filled), filled))


def test_compiles_as_one_graph():
    encoder, inputs = text_tower(), batch(32, 50, 49)
    memory = list(torch.randn(2, 2, 5, 24, generator=torch.Generator().manual_seed(3)))
    torch.compiler.reset()
    compiled = torch.compile(encoder, fullgraph=True, backend='eager')
    image = HFImageEncoder(
        dict(SMALL, model_type='siglip_vision_model', num_hidden_layers=2, image_size=32, patch_size=8)
    ).eval()
    seen = torch.compile(image, fullgraph=True, backend='eager')
    with torch.no_grad():
        close(compiled(inputs), encoder(inputs))
        close(compiled(inputs, 2, memory=memory), encoder(inputs, 2, memory=memory))
        close(seen(inputs).levels[1], image(inputs).levels[1])


TOWERS = dict(
    dinov2=dict(layer_norm_eps=1e-6),
    dinov2_with_registers=dict(num_register_tokens=2),
    vit=dict(),
    clip_vision_model=dict(),
)


@pytest.mark.parametrize('kind', TOWERS)
def test_any_image_tower_with_hidden_states(tmp_path, kind):
    config = dict(model_type=kind, **SMALL, image_size=32, patch_size=8, **TOWERS[kind])
    theirs = randomise(AutoModel.from_config(AutoConfig.for_model(**config)))
    theirs.save_pretrained(tmp_path)
    ours = HFImageEncoder(config, init_cfg=dict(type='HubPretrained', name=str(tmp_path)))
    ours.init_weights()
    inputs = batch(32, 50)
    with torch.no_grad():
        found, expected = ours.eval()(inputs), theirs(inputs.images, output_hidden_states=True)
        close(found.cls, expected.pooler_output)
        close(found.levels[5], expected.hidden_states[6][:, -16:])
        mean = HFImageEncoder(config, pool='mean')
        mean.model.load_state_dict(theirs.state_dict(), strict=False)
        close(mean.eval()(inputs).cls, expected.last_hidden_state[:, -16:].mean(dim=1))
    assert not [n for n, _ in mean.named_parameters() if 'pooler' in n]


def test_image_towers_without_patches_are_refused():
    encoder = HFImageEncoder(dict(model_type='resnet', embedding_size=8, hidden_sizes=[8, 8], depths=[1, 1]))
    with pytest.raises(ValueError, match=r'resnet: its hidden states are .*; a vision transformer is needed'):
        encoder(batch(32, 50))


def test_pictures_of_another_size():
    encoder = HFImageEncoder(
        dict(model_type='clip_vision_model', **SMALL, image_size=32, patch_size=8), interpolate_pos_encoding=True
    )
    assert encoder(batch(48, 50)).levels[0].shape == (2, 36, 24)


@pytest.mark.parametrize('kind, pool', [('distilbert', 'mean'), ('gpt2', 'last'), ('bert', 'cls')])
def test_any_text_tower_with_hidden_states(kind, pool):
    names = dict(
        distilbert=dict(dim=16, n_layers=2, n_heads=4, hidden_dim=24),
        gpt2=dict(n_embd=16, n_layer=2, n_head=4),
        bert=dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=24),
    )
    encoder = randomise(HFTextEncoder(dict(model_type=kind, vocab_size=50, **names[kind]), pool=pool))
    inputs = batch(32, 50)
    alone = VLInputs(None, *(part[1:, :5] for part in inputs[1:]))
    with torch.no_grad():
        tokens = encoder(inputs)
        feature = encoder.pool(tokens, inputs)
        expected = dict(mean=tokens[1, :5].mean(dim=0), last=tokens[1, 4], cls=tokens[1, 0])[pool]
        close(feature[1], expected)
        close(encoder.pool(encoder(alone), alone)[0], feature[1])  # padding changes nothing
    with pytest.raises(ValueError, match="pool must be one of .*got 'max'"):
        HFTextEncoder(dict(model_type=kind), pool='max')


def test_models_that_do_not_fit_are_refused(tmp_path, monkeypatch):
    start = dict(type='HubPretrained', name=str(tmp_path / 'clip'))
    small_clip(hidden_act='gelu').save_pretrained(tmp_path / 'clip')
    with pytest.raises(ValueError, match="not the text_config of the config: hidden_act is 'gelu' there, 'quick_gelu'"):
        MODELS.build(settings('clip', 'zeroshot', init_cfg=start)).init_weights()
    with pytest.raises(ValueError, match="model_type is 'clip_vision_model' there, 'siglip_vision_model' in the"):
        MODELS.build(settings('siglip2', 'zeroshot', init_cfg=start)).init_weights()
    # A tower alone is no whole model, and a BERT no part of one.
    CLIPVisionModel(small_clip().config.vision_config).save_pretrained(tmp_path / 'vision')
    model = settings('clip', 'zeroshot', init_cfg=dict(type='HubPretrained', name=str(tmp_path / 'vision')))
    with pytest.raises(ValueError, match='not the text_config of the config: model_type is .clip_vision_model. there'):
        MODELS.build(model).init_weights()
    bert = dict(type='BertTextEncoder', vocab_size=50, embed_dims=16, num_layers=1, num_heads=4, ffn_dims=24)
    with pytest.raises(ValueError, match='cannot fill text_encoder, a BertTextEncoder: set init_cfg of each tower'):
        MODELS.build(settings('clip', 'zeroshot', text_encoder=bert, init_cfg=start)).init_weights()
    bad = small_clip()
    with torch.no_grad():
        bad.visual_projection.weight[0, 0] = float('nan')
    bad.save_pretrained(tmp_path / 'nan')
    with pytest.raises(ValueError, match='1 tensors hold NaN or infinity: image_proj.weight'):
        MODELS.build(
            settings('clip', 'zeroshot', init_cfg=dict(type='HubPretrained', name=str(tmp_path / 'nan')))
        ).init_weights()


def offline(name, **kwargs):
    raise OSError(f'{name} is not in the cache\nand more advice')


def test_a_model_that_cannot_be_fetched_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(hub, 'snapshot_download', offline)
    model = MODELS.build(settings('clip', 'zeroshot', init_cfg=dict(type='HubPretrained', name='openai/none')))
    with pytest.raises(ValueError) as caught:
        model.init_weights()
    text = str(caught.value)
    assert "init_cfg.name='openai/none' is no folder here" in text and 'more advice' not in text
    assert 'hf download openai/none --local-dir FOLDER' in text


def test_exported_it_retrieves_as_before():
    torch.manual_seed(0)
    model = settings('clip', 'ft', init_cfg=None)
    whole = MODELS.build(model).eval()
    config, weights = as_retriever(Config(dict(model=model)), whole.state_dict())
    alone = MODELS.build(config.model).eval()
    alone.load_state_dict(weights)
    inputs = batch(32, 50, 49)
    with torch.no_grad():
        assert torch.equal(alone(inputs).image, whole(inputs).image)
        assert torch.equal(alone(inputs).text, whole(inputs).text)
    assert not [n for n, _ in alone.named_parameters() if 'cross' in n or 'shift' in n]


@pytest.mark.parametrize('family, model', [('clip', small_clip), ('siglip2', small_siglip)])
def test_a_published_model_is_ready_and_may_be_exported(tmp_path, family, model, monkeypatch, capsys):
    model().save_pretrained(tmp_path / 'hub')
    config = tmp_path / 'mine.py'
    own = settings(family, 'zeroshot', init_cfg=dict(type='HubPretrained', name=str(tmp_path / 'hub')))
    base = config_folder() / f'vilem/vilem_{family}_b16_coco_zeroshot.py'
    config.write_text(f"_base_ = '{base}'\nmodel = {dict(own, _delete_=True)!r}\n")
    assert main(['export', str(config), str(tmp_path / 'out'), '--pairs', '0']) == 0
    ready, exported = (load_trained(name, device='cpu') for name in (config, tmp_path / 'out'))
    assert ready.checkpoint == 'init_cfg' and ready.fingerprint == exported.fingerprint
    assert exported.describe()['trained_on'] and not exported.cfg.get('ready')
    inputs = batch(32, 50, 49 if family == 'clip' else None)
    with torch.no_grad():
        close(exported.model(inputs).text, their_features(model(), inputs)[1])
    (tmp_path / 'hub').rename(tmp_path / 'elsewhere')
    monkeypatch.setattr(hub, 'snapshot_download', offline)
    assert main(['export', str(config), str(tmp_path / 'other'), '--pairs', '0']) == 2
    assert 'is no folder here, and could not be fetched by this name' in capsys.readouterr().err
