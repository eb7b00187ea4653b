"""The benchmark of check-batch runs at tiny size, each way of it."""

import json

import check_speed
import pytest


def test_every_way_is_timed(detector, mini_set, tmp_path, capsys):
    records = json.loads((mini_set / 'metadata/test.json').read_text())[:3]
    lines = [json.dumps(dict(image=str(mini_set / row['image']), caption=row['text'])) for row in records]
    (tmp_path / 'pairs.jsonl').write_text('\n'.join(lines) + '\n')
    args = [str(tmp_path / 'pairs.jsonl'), '--model', str(detector), '--rounds', '1', '--device', 'cpu']
    assert check_speed.main([*args, '--workers', '0', '1']) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.startswith('way') and len(rows) == 5 and rows[0].split()[-2] == '1.00'
    (tmp_path / 'pairs.jsonl').write_text('{"image": "none.jpg"}\n')
    with pytest.raises(ValueError, match='must be a whole pair that can be read'):
        check_speed.main(args)
