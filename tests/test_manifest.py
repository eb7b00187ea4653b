"""What a figure was made from."""

import json

import pytest
import torch

from mmvlforge.manifest import (
    check_made_from,
    described_file,
    file_fingerprint,
    new_manifest,
    read_metrics_file,
    weights_fingerprint,
)


def test_files_and_folders_are_told_by_what_is_in_them(tmp_path):
    (tmp_path / 'a.json').write_bytes(b'x' * (2**20 + 1))
    first = file_fingerprint(tmp_path / 'a.json')
    folder = file_fingerprint(tmp_path)
    (tmp_path / 'a.json').rename(tmp_path / 'b.json')
    assert file_fingerprint(tmp_path / 'b.json') == first and file_fingerprint(tmp_path) != folder
    (tmp_path / 'b.json').write_bytes(b'x' * 2**20 + b'y')  # its last byte
    assert file_fingerprint(tmp_path / 'b.json') != first
    assert described_file(tmp_path, records=2) == dict(
        file=str(tmp_path), fingerprint=file_fingerprint(tmp_path), records=2
    )


def test_weights_are_told_by_names_types_shapes_and_values():
    state = dict(a=torch.zeros(2, 3), b=torch.ones(()))
    found = weights_fingerprint(state)
    assert weights_fingerprint(dict(reversed(state.items()))) == found
    for other in (
        dict(state, a=torch.zeros(3, 2)),
        dict(state, a=torch.zeros(2, 3, dtype=torch.float16)),
        dict(state, b=torch.tensor(1.0).nextafter(torch.tensor(2.0))),
        dict(c=state['a'], b=state['b']),
    ):
        assert weights_fingerprint(other) != found


def test_unknown_facts_are_left_out():
    manifest = new_manifest('score', protocol='dgm4', classes=None)
    assert manifest['protocol'] == 'dgm4' and 'classes' not in manifest


def test_metrics_with_a_manifest_and_without(tmp_path):
    old, new = tmp_path / 'old.json', tmp_path / 'new.json'
    old.write_text('{"AUC": 50}')
    new.write_text(json.dumps(dict(AUC=50, manifest=dict(weights=dict(file='a.pth', fingerprint='12')))))
    assert read_metrics_file(old) == (dict(AUC=50), {})
    assert read_metrics_file(new)[0] == dict(AUC=50)
    for path in (old, new):
        check_made_from(path, weights='12', predictions='34')
    check_made_from(old, weights='56')
    with pytest.raises(ValueError, match='new.json: was made from other weights .*: from a.pth, .* 12, not 56'):
        check_made_from(new, weights='56')
    new.write_text('{"AUC": 50, "manifest": 3}')
    with pytest.raises(ValueError, match='new.json: manifest is 3, must be a JSON object'):
        check_made_from(new)
