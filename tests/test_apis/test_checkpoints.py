"""What a run begins with: strict, whole, of this folder, and told in a line."""

import os
import shutil

import pytest
import torch

from mmvlforge.apis.checkpoints import begin_test, begin_training, newest_whole
from mmvlforge.cli import main
from mmvlforge.config_files import load_config
from mmvlforge.models.weights.checkpoint_files import write_checkpoint
from mmvlforge.models.weights.reading import safe_checkpoints
from mmvlforge.registry import MODELS

HEADS = ('binary_head', 'type_head', 'box_head', 'token_head')


@pytest.fixture
def state(detector) -> dict:
    return torch.load(detector / 'tiny.pth')['state_dict']


@pytest.fixture
def begin(tiny_config, tmp_path):
    """Begin a training with a state dict as ``load_from``, or with other arguments; returns config and lines."""

    def begin(start=None, resume=None, unsafe=False, **settings):
        if start is not None:
            torch.save(start, tmp_path / 'start.pth')
            settings['load_from'] = str(tmp_path / 'start.pth')
        cfg = load_config(tiny_config, settings)
        cfg.work_dir = str(tmp_path / 'run')
        return cfg, begin_training(cfg, resume, unsafe).lines

    (tmp_path / 'run').mkdir()
    return begin


def without(state, *parts) -> dict:
    return {name: value for name, value in state.items() if name.partition('.')[0] not in parts}


def saved(state, epoch, **changes) -> dict:
    """What MMEngine saves after an epoch, in short."""
    meta = dict(epoch=epoch, iter=8 * epoch)
    return {**dict(state_dict=state, meta=meta, message_hub={}, optimizer={}, param_schedulers=[]), **changes}


# load_from


def test_one_line_says_what_was_filled(begin, state):
    assert begin(state)[1] == [f'load_from={begin(state)[0].load_from!r}: {len(state)} of {len(state)} tensors filled']
    state['mlm_score.bias'] = state.pop('neck.modality_embed')
    (line,) = begin(state)[1]
    count = sum(name.startswith('neck.') for name in state)
    assert f'{len(state) - 1} of {len(state)} tensors filled; new: 1 of {count + 1} in neck' in line
    assert line.endswith('; without a place: 1 (mlm_score.bias)')


def test_a_file_of_another_project_is_no_start(begin, state):
    with pytest.raises(ValueError, match=r'start\.pth.*: nothing in it fits.*it has theirs\..*must be converted'):
        begin({f'theirs.{name}': value for name, value in state.items()})
    with pytest.raises(ValueError, match="'http://x/a.pth': nothing is fetched; download it"):
        begin(load_from='http://x/a.pth')
    with pytest.raises(ValueError, match="'none.pth' does not exist. Make it"):
        begin(load_from='none.pth')


def test_a_part_that_stays_empty_is_named_unless_it_is_meant(begin, state, tmp_path):
    start = without(state, *HEADS)
    with pytest.raises(ValueError, match='nothing in it for binary_head, type_head, box_head, token_head of') as error:
        begin(start)
    advice = str(error.value).rpartition('--cfg-options ')[2]
    assert advice == 'load_from_may_lack=binary_head,type_head,box_head,token_head'
    for meant in (list(HEADS), ','.join(HEADS)):
        assert '; new: binary_head, type_head, box_head, token_head' in begin(start, load_from_may_lack=meant)[1][0]
    with pytest.raises(ValueError, match='nothing in it for text_encoder of'):
        begin(without(start, 'text_encoder'), load_from_may_lack=list(HEADS))
    # A converted file says which parts it is not meant to fill.
    write_checkpoint(start, 'meter.ckpt', str(tmp_path / 'converted.pth'), HEADS)
    assert '; new: binary_head, ' in begin(load_from=str(tmp_path / 'converted.pth'))[1][0]
    write_checkpoint(without(start, 'neck'), 'meter.ckpt', str(tmp_path / 'converted.pth'), HEADS)
    with pytest.raises(ValueError, match='nothing in it for neck of'):
        begin(load_from=str(tmp_path / 'converted.pth'))
    # It was made for another config: what the file leaves to that one this one leaves to chance.
    converted = dict(load_from=str(tmp_path / 'converted.pth'))
    write_checkpoint(without(start, 'text_encoder'), 'meter.ckpt', converted['load_from'], ['text_encoder', *HEADS])
    with pytest.raises(ValueError, match='nothing in it for text_encoder of'):
        begin(**converted)
    bert = {'model.text_encoder.init_cfg': dict(type='HFPretrained', folder='bert')}
    assert '; new: text_encoder, ' in begin(**converted, **bert)[1][0]


def test_a_wrong_shape_and_nan_are_no_start(begin, state):
    name = 'neck.modality_embed'
    with pytest.raises(
        ValueError, match=r'1 of another shape: neck\.modality_embed \(1, 32\), the model has \(2, 32\)'
    ):
        begin({**state, name: state[name][:1]})
    with pytest.raises(ValueError, match='1 tensors hold NaN or infinity: neck.modality_embed'):
        begin({**state, name: state[name] * float('nan')})


def test_deepspeed_starts_from_the_file_too(begin, state):
    """Its ``load_from`` is a folder of its own: it would train from nothing without a word."""
    cfg, (line,) = begin(state, strategy=dict(type='DeepSpeedStrategy'))
    assert cfg.load_from is None and 'tensors filled' in line
    model = MODELS.build(cfg.model)
    with safe_checkpoints():
        model.init_weights()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


# --resume


def spoil(value):
    return value * float('inf')


@pytest.mark.parametrize(
    ('change', 'told'),
    [
        (lambda s: saved({f'theirs.{n}': v for n, v in s.items()}, 1), 'does not fit the model of'),
        (lambda s: saved({**s, 'neck.modality_embed': torch.zeros(3, 32)}, 1), r'modality_embed \(3, 32\), the model'),
        (lambda s: saved({**s, 'neck.modality_embed': spoil(s['neck.modality_embed'])}, 1), 'NaN or infinity: neck'),
        (lambda s: dict(state_dict=s), 'it lacks meta, message_hub, optimizer, param_schedulers'),
        (lambda s: {k: v for k, v in saved(s, 1).items() if k not in ('optimizer',)}, 'it lacks optimizer. Take a'),
        (lambda s: saved(s, 1, meta={}), 'it lacks its epoch and iteration'),
    ],
)
def test_a_run_goes_on_only_from_its_own_whole_state(begin, state, tmp_path, change, told):
    for name, resume in (('run/epoch_1.pth', 'auto'), ('other.pth', str(tmp_path / 'other.pth'))):
        torch.save(change(state), tmp_path / name)
        (tmp_path / 'run/last_checkpoint').write_text(str(tmp_path / 'run/epoch_1.pth'))
        with pytest.raises(ValueError, match=told):
            begin(resume=resume)
        torch.save(saved(state, 1), tmp_path / name)
        assert begin(resume=resume)[1] == []


def test_a_config_that_resumes_is_held_to_the_same(tiny_config, state, tmp_path):
    torch.save(saved(state, 1), tmp_path / 'epoch_1.pth')
    torch.save(state, tmp_path / 'weights.pth')
    (tmp_path / 'last_checkpoint').write_text('epoch_1.pth')
    cfg = load_config(tiny_config, dict(work_dir=str(tmp_path), resume=True))
    begin_training(cfg, None, unsafe=False)
    assert cfg.resume and cfg.load_from is None
    cfg.load_from = str(tmp_path / 'weights.pth')
    with pytest.raises(ValueError, match='a run cannot go on from it'):
        begin_training(cfg, None, unsafe=False)


def test_the_first_run_with_resume_starts_from_load_from(begin, state):
    """It was dropped: the first of the runs that a job restarts trained from nothing."""
    cfg, (line,) = begin(state, resume='auto')
    assert not cfg.resume and cfg.load_from.endswith('start.pth') and 'tensors filled' in line


# last_checkpoint


def folder_of(tmp_path, *epochs):
    for epoch in epochs:
        torch.save(dict(state_dict=dict(a=torch.ones(100) * epoch)), tmp_path / f'epoch_{epoch}.pth')
    (tmp_path / 'last_checkpoint').write_text(f'{tmp_path}/epoch_{max(epochs)}.pth')


@pytest.mark.parametrize('spoilt', ['cut', 'gone', 'empty', 'flipped', 'zeros', 'text'])
def test_the_whole_one_before_it_is_taken_and_that_is_said(tmp_path, spoilt):
    folder_of(tmp_path, 2, 9, 10)
    shutil.copy(tmp_path / 'epoch_10.pth', tmp_path / 'epoch_11.pth')  # of another run: not before it
    path = tmp_path / 'epoch_10.pth'
    content = bytearray(path.read_bytes())
    content[content.find(b'\x00\x00 \x41' * 3)] ^= 1  # within the tensor of tens
    for name in ('epoch_10.pth', 'epoch_9.pth'):
        path = tmp_path / name
        whole = path.read_bytes()
        if spoilt == 'gone':
            path.unlink()
        else:
            path.write_bytes(
                dict(cut=whole[:-100], empty=b'', flipped=bytes(content), zeros=bytes(999), text=b'hello')[spoilt]
            )
        if name == 'epoch_10.pth':
            found, told = newest_whole(tmp_path)
            assert found == str(tmp_path / 'epoch_9.pth')
            assert f'{tmp_path}/last_checkpoint names epoch_10.pth, but it' in told
            assert told.endswith('going on from the newest whole one before it, epoch_9.pth')
    assert newest_whole(tmp_path)[0] == str(tmp_path / 'epoch_2.pth')
    (tmp_path / 'epoch_2.pth').unlink()
    with pytest.raises(ValueError, match='names epoch_10.pth, but it.*, and there is no whole one before it'):
        newest_whole(tmp_path)


@pytest.mark.parametrize('pointer', [b'', b'\xff\xfe\0', bytes(40), None])
def test_without_a_name_the_newest_whole_one_is_taken(tmp_path, pointer):
    folder_of(tmp_path, 9, 10)
    (tmp_path / 'last_checkpoint').unlink()
    if pointer is not None:
        (tmp_path / 'last_checkpoint').write_bytes(pointer)
    found, told = newest_whole(tmp_path)
    assert found == str(tmp_path / 'epoch_10.pth') and told.endswith('epoch_10.pth')
    for epoch in (9, 10):
        (tmp_path / f'epoch_{epoch}.pth').write_bytes(b'PK')
    found, told = newest_whole(tmp_path)
    assert found is None and 'are not whole' in told


def test_an_empty_folder_has_none_and_nothing_to_say(tmp_path):
    assert newest_whole(tmp_path) == (None, None)


def test_a_copy_goes_on_from_its_own_file(begin, state, tmp_path):
    old = tmp_path / 'old'
    old.mkdir()
    torch.save(saved(state, 1), old / 'epoch_1.pth')
    for text in (str(old / 'epoch_1.pth'), 'epoch_1.pth'):
        (old / 'last_checkpoint').write_text(text)
        shutil.rmtree(tmp_path / 'run')
        shutil.copytree(old, tmp_path / 'run')
        cfg, _ = begin(resume='auto')
        assert cfg.resume and cfg.load_from is None
        # MMEngine and people read it.
        assert (tmp_path / 'run/last_checkpoint').read_text() == str(tmp_path / 'run/epoch_1.pth')
        assert sorted(os.listdir(tmp_path / 'run')) == ['epoch_1.pth', 'last_checkpoint']
    (tmp_path / 'run/epoch_1.pth').unlink()
    with pytest.raises(ValueError, match='it does not exist in .*run'):
        begin(resume='auto')


def test_checkpoints_in_a_folder_of_their_own(begin, state, tmp_path):
    (tmp_path / 'out/run').mkdir(parents=True)
    torch.save(saved(state, 1), tmp_path / 'out/run/epoch_1.pth')
    (tmp_path / 'run/last_checkpoint').write_text(str(tmp_path / 'out/run/epoch_1.pth'))
    out = {'default_hooks.checkpoint.out_dir': str(tmp_path / 'out')}
    assert begin(resume='auto', **out)[0].resume
    assert (tmp_path / 'run/last_checkpoint').read_text() == str(tmp_path / 'out/run/epoch_1.pth')


def test_a_file_is_gone_on_from_once(begin, state, tmp_path):
    """The config in the work dir named it, so that a later run of that config began with it once more."""
    torch.save(saved(state, 1), tmp_path / 'epoch_1.pth')
    cfg, _ = begin(resume=os.path.relpath(tmp_path / 'epoch_1.pth'))
    assert cfg.resume and cfg.load_from is None
    assert (tmp_path / 'run/last_checkpoint').read_text() == str(tmp_path / 'epoch_1.pth')


def test_what_is_read_unsafely_is_read_once(tiny_config, state, tmp_path):
    class Count:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / 'ran'),)

    torch.save(dict(state_dict=state, extra=Count()), tmp_path / 'own.pth')
    cfg, path = load_config(tiny_config), str(tmp_path / 'own.pth')
    held = begin_test(cfg, path, unsafe=True).held
    assert (tmp_path / 'ran').is_dir()
    from mmengine.runner import CheckpointLoader

    with safe_checkpoints(True, held):  # a second time mkdir would raise
        assert CheckpointLoader.load_checkpoint(path)['state_dict'].keys() == state.keys()
    name = 'neck.modality_embed'
    (tmp_path / 'ran').rmdir()
    torch.save(dict(state_dict={**state, name: spoil(state[name])}, extra=Count()), path)
    with pytest.raises(ValueError, match='NaN or infinity'):
        begin_test(cfg, path, unsafe=True)


# All of it through the command


def log_of(work_dir) -> str:
    return ''.join(path.read_text() for path in sorted(work_dir.rglob('*.log')))


FLEXIBLE = ['runner_type=FlexibleRunner', 'strategy.type=SingleDeviceStrategy']


@pytest.mark.parametrize('flexible', [False, True])
def test_the_config_in_a_checkpoint_is_not_run(tiny_config, tmp_path, flexible):
    run, options = tmp_path / 'run', FLEXIBLE if flexible else []
    command = ['train', str(tiny_config), '--work-dir', str(run), '--cfg-options', *options]
    assert main([*command, 'train_cfg.max_epochs=1']) == 0
    content = torch.load(run / 'epoch_1.pth', weights_only=False)
    content['meta']['config'] = f'import os\nos.mkdir({str(tmp_path / "ran")!r})\n'
    torch.save(content, run / 'epoch_1.pth')
    assert main([*command, 'train_cfg.max_epochs=1', 'val_evaluator=None', 'val_cfg=None', 'val_dataloader=None',
                 '--resume']) == 0  # fmt: skip
    assert not (tmp_path / 'ran').exists()


def test_a_run_s_own_config_means_the_folder_it_lies_in(tiny_config, state, tmp_path):
    old, new = tmp_path / 'old', tmp_path / 'new'
    options = ['--cfg-options', 'train_cfg.max_epochs=2']
    assert main(['train', str(tiny_config), '--work-dir', str(old), '--cfg-options', 'train_cfg.max_epochs=2']) == 0
    shutil.copytree(old, new)
    for name in ('epoch_2.pth', 'last_checkpoint'):
        (new / name).unlink()
    (new / 'last_checkpoint').write_text('epoch_1.pth')
    before = sorted(path.name for path in old.iterdir())
    assert main(['train', str(new / 'tiny.py'), '--resume', *options]) == 0
    assert (new / 'epoch_2.pth').is_file() and sorted(path.name for path in old.iterdir()) == before


@pytest.mark.parametrize('flexible', [False, True])
def test_a_run_from_load_from_and_the_resumed_copy_of_its_folder(tiny_config, state, tmp_path, flexible):
    """With a rate of 0, so that the weights tell what was loaded."""
    start = without(state, *HEADS)
    write_checkpoint(start, 'meter.ckpt', str(tmp_path / 'converted.pth'), HEADS)
    options = [f'load_from={tmp_path}/converted.pth', 'train_cfg.max_epochs=2', 'optim_wrapper.optimizer.lr=0']
    if flexible:
        options += FLEXIBLE
    old, new = tmp_path / 'old', tmp_path / 'new'
    command = ('train', str(tiny_config), '--cfg-options', *options, '--resume', '--work-dir')
    assert main([*command, str(old)]) == 0
    assert f'{len(start)} of {len(state)} tensors filled; new: binary_head, type_head, box_head, token' in log_of(old)
    first = torch.load(old / 'epoch_1.pth', weights_only=False)['state_dict']
    learnt = {name for name in state if 'running_' not in name and not name.endswith('num_batches_tracked')}
    assert all(torch.equal(value, first[name]) for name, value in start.items() if name in learnt)

    shutil.copytree(old, new)
    (new / 'epoch_2.pth').write_bytes((new / 'epoch_2.pth').read_bytes()[:-1000])
    before = {path.name: path.stat().st_mtime_ns for path in old.glob('*.pth')}
    assert main([*command, str(new)]) == 0
    assert 'going on from the newest whole one before it, epoch_1.pth' in log_of(new)
    again = torch.load(new / 'epoch_2.pth', weights_only=False)
    assert again['meta']['epoch'] == 2 and all(torch.equal(again['state_dict'][n], first[n]) for n in learnt)
    assert {path.name: path.stat().st_mtime_ns for path in old.glob('*.pth')} == before
    assert (new / 'last_checkpoint').read_text() == str(new / 'epoch_2.pth')
