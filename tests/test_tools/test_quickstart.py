import subprocess

from project import ROOT


def test_quickstart_names_its_jobs():
    result = subprocess.run(
        ['bash', str(ROOT / 'tools/quickstart.sh'), 'albef'], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert "unknown job 'albef'" in result.stderr and 'vilem' in result.stderr
