"""``docs/extend.md`` does what it says: its files and commands as they stand, outside the repository."""

import csv
import json
import re
import shlex
import sys

import pytest
from project import ROOT, run_tool

PAGE = (ROOT / 'docs/extend.md').read_text(encoding='utf-8')
FILES = dict(re.findall(r'```python\n(?=# (\S+\.py)\n)(.+?)```', PAGE, re.DOTALL))
COMMANDS = [line for block in re.findall(r'```bash\n(.+?)```', PAGE, re.DOTALL) for line in block.splitlines()]


def run(line: str, folder) -> str:
    """Run one line of the page; what it printed."""
    arguments = shlex.split(line.removeprefix('python -m '))
    assert arguments.pop(0) == 'mmvlforge', line
    return run_tool(sys.executable, '-m', 'mmvlforge', *arguments, cwd=folder).stdout


@pytest.fixture(scope='module')
def desk(tmp_path_factory):
    """A user's folder with the page's files, its data, and a CSV file of each split's real and swapped pairs."""
    folder = tmp_path_factory.mktemp('desk')
    for name, code in FILES.items():
        (folder / name).write_text(code, encoding='utf-8')
    run(COMMANDS[0], folder)
    data = folder / 'data/mini_dgm4'
    for split in ('train', 'val', 'test'):
        records = json.loads((data / f'metadata/{split}.json').read_text())
        with open(data / f'{split}.csv', 'w', newline='') as file:
            writer = csv.writer(file)
            writer.writerow(['image', 'caption', 'label'])
            for record in records:
                if record['fake_cls'] in ('orig', 'text_swap'):
                    label = 'real' if record['fake_cls'] == 'orig' else 'swapped'
                    writer.writerow([record['image'], record['text'], label])
    return folder


def test_a_part_is_short():
    assert len(FILES) == 6
    assert all(code.count('\n') <= 30 for code in FILES.values())


def test_the_page_has_a_command_for_each_config():
    configs = {name for name, code in FILES.items() if '_base_' in code}
    assert {word for line in COMMANDS for word in line.split() if word.endswith('.py')} == configs


def test_head(desk):
    train, test = (line for line in COMMANDS if 'smooth_box.py' in line)
    out = run(train, desk)
    assert 'loss_box: ' in out and 'loss_box_l1' not in out and 'loss_box_giou' not in out
    assert 'IoUmean' in run(test, desk)


def test_data_set(desk):
    (train,) = (line for line in COMMANDS if 'csv_pairs_mini.py' in line)
    out = run(train, desk)
    assert 'AUC' in out and 'IoUmean' not in out and 'loss_box' not in out


def test_data_set_says_what_is_wrong(desk, monkeypatch):
    monkeypatch.syspath_prepend(str(desk))
    from csv_pairs import CSVPairs

    (desk / 'bad.csv').write_text('image,caption,label\na.jpg,a caption,maybe\n')
    with pytest.raises(ValueError, match=r"bad.csv, row 0: label 'maybe', must be one of \['real', 'swapped'\]"):
        CSVPairs(ann_file=str(desk / 'bad.csv'))


def test_metric(desk):
    (train,) = (line for line in COMMANDS if 'with_false_alarms.py' in line)
    out = run(train, desk)
    found = re.findall(r'false_alarms: ([\d.]+)', out)
    assert found and all(0 <= float(value) <= 100 for value in found)
    assert 'AUC' in out  # beside ours, not in their place
