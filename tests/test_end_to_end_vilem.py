"""ViLEM's tools as a user runs them: train, stop, resume, test on every kind of set, on several processes."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from project import ROOT, free_port, kill_after_first_epoch, run_tool, weights
from tiny_vilem import tiny_model
from transformers import AutoTokenizer, BertConfig, BertForMaskedLM

from mmvlforge.manifest import read_metrics_file

SETS = {
    'vilem_mini': {'i2t_R@1', 't2i_R@10', 'RSUM', 'i2t_MedR', 'detection_AUC/local', 'correction_top5/global'},
    'vilem_mini_winoground': {'text_score', 'image_score', 'group_score', 'text_score/1_pred'},
    'vilem_mini_sugarcrepe': {'add_att', 'swap_obj', 'replace', 'swap', 'add'},
    'vilem_mini_msrvtt': {'t2v_R@1', 't2v_R@10', 't2v_MedR'},
    'aro': {'left of', 'in', 'macro'},
    'aro_order': {'order'},
}
ARO = {  # whose configs differ from SugarCrepe's in these
    'aro': dict(type='PairwiseCaptionMetric', means='macro'),
    'aro_order': dict(type='PairwiseCaptionMetric', num_captions=None),
}


@pytest.fixture(scope='module')
def mini(tmp_path_factory) -> Path:
    """22 training, 5 validation and 13 test pictures, and a random language model to edit with."""
    out = tmp_path_factory.mktemp('captions') / 'set'
    run_tool('-m', 'mmvlforge', 'forge', 'captions', out, '--num', 22, '--num-val', 5, '--num-test', 13, '--seed', 3)
    images = [i for i in json.loads((out / 'dataset_mini.json').read_text())['images'] if i['split'] == 'test']
    (out / 'aro.json').write_text(
        json.dumps(
            [
                dict(
                    image_path=image['filename'],
                    **dict(zip(('bbox_x', 'bbox_y', 'bbox_w', 'bbox_h'), (8, 8, 100, 90))),
                    true_caption=image['sentences'][0]['raw'],
                    false_caption=image['sentences'][0]['raw'][::-1],
                    relation_name=('left of', 'in')[row % 2],
                )
                for row, image in enumerate(images)
            ]
        )
    )
    captions = [image['sentences'][0]['raw'].split() for image in images]
    (out / 'aro_order.json').write_text(
        json.dumps(
            [
                # The first has one shuffle that is the caption itself.
                dict(
                    image=image['filename'],
                    caption_options=[' '.join(w) for w in (words, words[::-1], words[row > 0 :] + words[: row > 0])],
                )
                for row, (image, words) in enumerate(zip(images, captions))
            ]
        )
    )
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(out / 'tokenizer')
    sizes = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(out / 'lm')
    tokenizer.save_pretrained(out / 'lm')
    return out


@pytest.fixture(scope='module')
def configs(mini) -> dict:
    """The mini configs on this set, by name, two epochs of 28 steps; dropout on."""
    paths = {}
    for name in SETS:
        cfg = Config.fromfile(str(ROOT / f'configs/vilem/{name if name not in ARO else "vilem_mini_sugarcrepe"}.py'))
        options = {
            **tiny_model(cfg.model.text_encoder.vocab_size),
            'model.text_encoder.drop': 0.1,
            'model.corruptor.name': str(mini / 'lm'),
            'train_dataloader.batch_size': 4,
            'train_cfg.max_epochs': 2,
            'param_scheduler.0.end': 4,
        }
        for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            options[f'{loader}.dataset.data_root'] = f'{mini}/'
            tokenizer = [t.type for t in cfg[loader].dataset.pipeline].index('CaptionTokenizer')
            options[f'{loader}.dataset.pipeline.{tokenizer}.name'] = str(mini / 'tokenizer')
        cfg.merge_from_dict(options)
        if name in ARO:
            for loader in (cfg.val_dataloader, cfg.test_dataloader):
                loader.dataset.update(ann_file=f'{name}.json', reader=dict(type=name))
            cfg.val_evaluator.metrics = cfg.test_evaluator.metrics = [ARO[name]]
        paths[name] = mini / f'{name}.py'
        cfg.dump(paths[name])
    return paths


@pytest.fixture(scope='module')
def trained(configs, tmp_path_factory) -> Path:
    """Work dir of an uninterrupted run."""
    work_dir = tmp_path_factory.mktemp('trained')
    run_tool('tools/train.py', configs['vilem_mini'], '--work-dir', work_dir)
    return work_dir


def test_killed_and_resumed_run_equals_uninterrupted_one(configs, trained, tmp_path):
    """Weights, momentum encoders, queues, temperature: all that is saved."""
    kill_after_first_epoch(configs['vilem_mini'], tmp_path)
    run_tool('tools/train.py', configs['vilem_mini'], '--work-dir', tmp_path, '--resume')
    first, uninterrupted, resumed = weights(trained, 1), weights(trained, 2), weights(tmp_path, 2)
    assert uninterrupted.keys() == resumed.keys()
    for name, value in uninterrupted.items():
        assert torch.equal(value, resumed[name]), name
    for part in ('momentum.text_proj.weight', 'contrastive_head.text_queue', 'contrastive_head.temperature'):
        assert not torch.equal(first[part], uninterrupted[part]), part


@pytest.mark.parametrize('name', SETS)
def test_every_kind_of_set_is_scored(configs, trained, tmp_path, name):
    out = tmp_path / 'metrics.json'
    run_tool('tools/test.py', configs[name], trained / 'epoch_2.pth', '--work-dir', tmp_path, '--out', out)
    metrics, manifest = read_metrics_file(out)
    (data,) = manifest['data']['test']
    assert data['records'] > 0 and len(data['fingerprint']) == 32
    assert SETS[name] <= metrics.keys()
    assert all(value == value and value >= 0 for value in metrics.values())


def test_two_processes_train_and_evaluate_as_one(configs, trained, tmp_path):
    config = configs['vilem_mini']
    run_tool(
        'bash', 'tools/dist_train.sh', config, 2, '--work-dir', tmp_path / 'train',
        '--cfg-options', 'train_cfg.max_epochs=1', env={'PORT': free_port()},
    )  # fmt: skip
    state = weights(tmp_path / 'train', 1)
    assert all(value.isfinite().all() for value in state.values())
    assert state['contrastive_head.steps'] == 14  # half of 110 captions in fours

    found = []
    for launch, env in ((['tools/test.py'], {}), (['bash', 'tools/dist_test.sh'], {'PORT': free_port()})):
        out = tmp_path / 'metrics.json'
        run_tool(
            *launch, config, trained / 'epoch_2.pth', *([2] if env else []), '--work-dir', tmp_path / 'test',
            '--out', out, '--cfg-options', 'test_dataloader.batch_size=1', env=env,
        )  # fmt: skip
        found.append(read_metrics_file(out)[0])
    assert found[0] == found[1]


def test_fine_tuning_without_its_start_is_told_so(configs, tmp_path):
    start = ['model.init_cfg.type=RetrieverPretrained', 'model.init_cfg.checkpoint=no.pth']
    result = run_tool(
        'tools/train.py', configs['vilem_mini'], '--work-dir', tmp_path, '--cfg-options', *start, check=False
    )
    assert result.returncode and "'no.pth' does not exist. Pre-train first" in result.stderr
