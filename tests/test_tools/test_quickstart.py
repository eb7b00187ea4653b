import subprocess

import pytest
from project import ROOT


def quickstart(*args) -> str:
    """What it says of a mistake, before anything is installed."""
    command = ['bash', str(ROOT / 'tools/quickstart.sh'), *map(str, args)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, '')
    return result.stderr


def test_quickstart_names_its_jobs():
    told = quickstart('albef')
    assert "unknown job 'albef'" in told and 'vilem' in told and 'photos FOLDER' in told


@pytest.mark.parametrize(
    ('name', 'told'),
    [
        ('none', 'none: does not exist; give a folder of photos\n'),
        ('file.jpg', 'file.jpg: is a file; give the folder it is in\n'),
        ('empty', 'empty: is empty; give a folder of photos\n'),
    ],
)
def test_photos_must_be_a_folder_of_them(tmp_path, name, told):
    (tmp_path / 'empty/deeper').mkdir(parents=True)
    (tmp_path / 'file.jpg').write_bytes(b'')
    assert quickstart('photos', tmp_path / name) == f'{tmp_path}/{told}'


def test_photos_need_a_folder():
    told = quickstart('photos')
    assert told == "photos needs a folder: bash tools/quickstart.sh photos FOLDER ['a dog' 'WORDS' ...]\n"
