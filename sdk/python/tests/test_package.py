"""What is published: the wheel has what it should, the types are strict, the code is formatted, the documents are true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import continuo_realtime
from continuo_realtime.bench import run

SDK = Path(__file__).parents[1]


def command(*words: str, env: dict[str, str] | None = None) -> str:
    done = subprocess.run([sys.executable, "-m", *words], cwd=SDK, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel(tmp_path: Path) -> None:
    command("build", "--no-isolation", "--outdir", str(tmp_path))
    version = continuo_realtime.__version__
    assert {path.name for path in tmp_path.iterdir()} == {
        f"continuo_realtime-{version}-py3-none-any.whl",
        f"continuo_realtime-{version}.tar.gz",
    }
    with zipfile.ZipFile(tmp_path / f"continuo_realtime-{version}-py3-none-any.whl") as wheel:
        names = set(wheel.namelist())
        sources = {path.relative_to(SDK / "src").as_posix() for path in SDK.glob("src/**/*.py")}
        info = f"continuo_realtime-{version}.dist-info"
        more = {f"{info}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "licenses/LICENSE")}
        assert names == sources | {"continuo_realtime/py.typed"} | more
        metadata = wheel.read(f"{info}/METADATA").decode()
    assert re.findall(r"^Requires-Dist: (.*)$", metadata, re.M) == ["websockets>=15"]
    assert "License-Expression: Apache-2.0" in metadata
    installed = tmp_path / "installed"
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(installed)
    there = command("continuo_realtime.bench", "2000", env={**os.environ, "PYTHONPATH": str(installed)})
    assert "messages per second" in there


def test_types_are_strict() -> None:
    assert "Success" in command("mypy")


def test_the_code_is_clean() -> None:
    command("ruff", "check", "src", "tests", "examples")
    command("ruff", "format", "--check", "src", "tests", "examples")


def test_the_readme_and_the_changelog_are_of_this_version() -> None:
    assert f"## {continuo_realtime.__version__}" in (SDK / "CHANGELOG.md").read_text("utf-8")
    readme = (SDK / "README.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", readme, re.S)
    assert blocks
    for block in blocks:
        compile(block, "README.md", "exec", flags=0x2000)  # with await at the top
    for name in continuo_realtime.__all__:
        if not name.startswith("_"):
            assert f"`{name}" in readme, f"{name} is not in README.md"


def test_files_are_small() -> None:
    for path in SDK.glob("**/*.py"):
        assert len(path.read_text("utf-8").splitlines()) <= 400, path


@pytest.mark.parametrize("module", sorted(path.stem for path in SDK.glob("src/continuo_realtime/*.py")))
def test_modules_say_what_they_are(module: str) -> None:
    text = (SDK / "src" / "continuo_realtime" / f"{module}.py").read_text("utf-8")
    assert text.startswith('"""')


async def test_the_benchmark_runs() -> None:
    assert await run(1000) > 0
