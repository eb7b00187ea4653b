"""Configs by name; trained models, strictly and safely."""

import json
import pickle

import pytest
import torch

from mmvlforge.apis.loading import find_model, load_trained
from mmvlforge.cli import main
from mmvlforge.config_files import find_config, load_config


@pytest.mark.parametrize(
    'name', ['dgm4/dca_imq', 'dgm4/dca_imq.py', 'configs/dgm4/dca_imq.py', 'mmvlforge::dgm4/dca_imq.py']
)
def test_a_config_of_ours_is_found_from_anywhere(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_config(name).model.type == 'ManipulationDetector'


def test_a_file_of_the_user_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'configs/dgm4').mkdir(parents=True)
    (tmp_path / 'configs/dgm4/dca_imq.py').write_text("model = dict(type='Mine')")
    assert load_config('configs/dgm4/dca_imq.py').model.type == 'Mine'


@pytest.mark.parametrize(
    ('name', 'hint'),
    [
        ('dgm4/dca_im', 'did you mean dgm4/dca_imq'),
        ('dca_imq_mini', 'did you mean dgm4/dca_imq_mini'),
        ('../setup', 'give a file'),
        ('nothing_like_it', 'give a file, or one of dgm4/dca_imq'),
    ],
)
def test_a_missing_config_is_told_with_the_nearest_names(name, hint):
    with pytest.raises(ValueError, match=f'config .* does not exist; {hint}'):
        find_config(name)


def test_a_broken_config_and_a_setting_that_does_not_fit(tmp_path):
    (tmp_path / 'broken.py').write_text('model = dict(')
    with pytest.raises(ValueError, match=r'broken.py: cannot be read as a config: SyntaxError'):
        load_config(tmp_path / 'broken.py')
    with pytest.raises(ValueError, match='do not fit this config'):
        load_config('dgm4/dca_imq', {'default_scope.deeper': 1})


def test_folder_and_pair_are_one_model(detector):
    pair = find_model(detector / 'tiny.py', detector / 'tiny.pth')
    assert find_model(detector) == pair
    by_folder, by_pair = load_trained(detector), load_trained(*pair)
    assert not by_folder.model.training
    assert by_folder.fingerprint == by_pair.fingerprint and len(by_pair.fingerprint) == 32
    assert by_pair.describe()['name'] == 'tiny'
    with torch.no_grad():
        next(by_pair.model.parameters()).add_(1)
    del by_pair.__dict__['fingerprint']
    assert by_folder.fingerprint != by_pair.fingerprint


def test_a_work_dir_means_its_newest_checkpoint_also_after_a_move(detector, tmp_path):
    (tmp_path / 'config.py').write_text((detector / 'tiny.py').read_text())
    for name in ('epoch_1.pth', 'epoch_2.pth'):
        (tmp_path / name).write_bytes(b'')
    with pytest.raises(ValueError, match=r'weights .*one and no more; it has epoch_1.pth, epoch_2.pth'):
        find_model(tmp_path)
    # MMEngine writes an absolute path. In a copy it is that of the folder it was copied from.
    other = tmp_path / 'copied_from'
    other.mkdir()
    (other / 'epoch_2.pth').touch()
    for name in (str(other / 'epoch_2.pth'), '/somewhere/else/epoch_2.pth', 'epoch_2.pth\n'):
        (tmp_path / 'last_checkpoint').write_text(name)
        assert find_model(tmp_path) == (str(tmp_path / 'config.py'), str(tmp_path / 'epoch_2.pth'))
    (tmp_path / 'epoch_2.pth').unlink()
    with pytest.raises(ValueError, match=f"last_checkpoint: checkpoint '{tmp_path}/epoch_2.pth' does not exist"):
        find_model(tmp_path)


def test_references_that_are_not_complete(detector, tmp_path):
    with pytest.raises(ValueError, match='give a folder, or a config and its checkpoint'):
        find_model(detector / 'tiny.py')
    with pytest.raises(ValueError, match="checkpoint 'none.pth' does not exist"):
        find_model(detector / 'tiny.py', 'none.pth')
    with pytest.raises(ValueError, match='has its own weights'):
        find_model(detector, detector / 'tiny.pth')
    with pytest.raises(ValueError, match='must hold a config'):
        find_model(tmp_path)


def changed(detector, tmp_path, change) -> tuple:
    state = torch.load(detector / 'tiny.pth')['state_dict']
    change(state)
    torch.save(dict(state_dict=state), tmp_path / 'other.pth')
    return detector / 'tiny.py', tmp_path / 'other.pth'


def test_a_foreign_checkpoint_is_refused_and_the_faults_listed(detector, tmp_path):
    def foreign(state):
        for name in [name for name in state if name.startswith('neck.')]:
            state['other.' + name] = state.pop(name)
        name = 'binary_head.classifier.0.weight'
        state[name] = state[name][:1]

    with pytest.raises(ValueError) as error:
        load_trained(*changed(detector, tmp_path, foreign))
    text = str(error.value)
    count = sum(name.startswith('neck.') for name in torch.load(detector / 'tiny.pth')['state_dict'])
    assert f'{count} missing: neck.' in text and f'{count} unexpected: other.neck.' in text
    assert '1 of another shape: binary_head.classifier.0.weight (1, 64), the model has' in text
    assert text.count('other.neck.') == 10 and '...' in text


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_nan_and_infinity_are_refused(detector, tmp_path, value):
    def spoil(state):
        state['binary_head.classifier.0.bias'][3] = value

    with pytest.raises(ValueError, match='1 tensors hold NaN or infinity: binary_head.classifier.0.bias'):
        load_trained(*changed(detector, tmp_path, spoil))


class Evil:
    def __reduce__(self):
        return print, ('executed',)


def test_nothing_in_a_checkpoint_runs(detector, tmp_path, capsys):
    with open(tmp_path / 'evil.pth', 'wb') as file:
        pickle.dump(dict(state_dict=Evil()), file)
    torch.save(dict(state_dict={}, extra=Evil()), tmp_path / 'evil2.pth')
    for name, told in (('evil.pth', 'no file of weights: UnpicklingError'), ('evil2.pth', 'could run code: print')):
        with pytest.raises(ValueError, match=told):
            load_trained(detector / 'tiny.py', tmp_path / name)
    assert 'executed' not in capsys.readouterr().out


def test_a_config_that_is_ready_needs_no_checkpoint(retriever, tmp_path, capsys):
    config = tmp_path / 'own.py'
    config.write_text(f"_base_ = '{retriever}/tiny.py'\nready = True\n")
    assert load_trained(config, device='cpu').checkpoint == 'init_cfg'
    assert main(['test', str(config), '--work-dir', str(tmp_path / 'run'), '--out', str(tmp_path / 'recall.json')]) == 0
    assert {'t2i_R@1', 'RSUM'} <= json.loads((tmp_path / 'recall.json').read_text()).keys()
    assert main(['test', str(retriever / 'tiny.py'), '--work-dir', str(tmp_path / 'run')]) == 2
    assert 'tiny.py: needs a checkpoint to test' in capsys.readouterr().err
