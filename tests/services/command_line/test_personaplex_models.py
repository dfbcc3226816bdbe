"""`splitbrain models pull` and `size`: a real fetch from a local hub, and what fits which card."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from services import cli

if TYPE_CHECKING:
    from tests.services.conftest import FakeHub

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def models_dir(tmp_path: Path) -> list[str]:
    return ["models", "--models-dir", str(tmp_path)]


def answer(capsys: Captured) -> dict[str, object]:
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def state(capsys: Captured) -> tuple[object, object]:
    models = answer(capsys)["models"]
    assert isinstance(models, list)
    (found,) = (model for model in models if model["name"] == "personaplex")
    return found["state"], found["detail"]


# --- pull, list, verify


def test_pull_then_list_then_verify(hub: FakeHub, models_dir: list[str], capsys: Captured) -> None:
    assert cli.main([*models_dir, "pull", "personaplex"]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[0].split() == ["FILE", "STATE", "MB"]
    assert "voices/NATM1.pt" in shown.out
    assert "model.safetensors: 0.0 MB" in shown.err
    cli.main([*models_dir, "--json", "list"])
    assert state(capsys) == ("present", "")
    assert cli.main([*models_dir, "--json", "verify", "personaplex"]) == 0
    assert state(capsys) == ("ok", "")
    assert hub.token not in shown.out + shown.err


def test_its_answer_as_json_in_a_folder_of_ones_own(hub: FakeHub, tmp_path: Path, capsys: Captured) -> None:
    assert cli.main(["models", "pull", "personaplex", "--folder", str(tmp_path / "w"), "--json"]) == 0
    files = answer(capsys)["files"]
    assert isinstance(files, list)
    assert {file["state"] for file in files} == {"present"}
    assert (tmp_path / "w" / "model.safetensors").read_bytes() == hub.files["model.safetensors"]


def test_another_repository_and_revision(hub: FakeHub, models_dir: list[str], tmp_path: Path) -> None:
    hub.repo, hub.commit = "me/tuned", "e" * 40
    assert cli.main([*models_dir, "pull", "personaplex", "--from", "me/tuned", "--revision", "e" * 40]) == 0
    record = json.loads((tmp_path / "personaplex" / "checksums.json").read_text())
    assert record["repo"] == "me/tuned"


def test_a_damaged_file_is_wrong_though_the_model_is_optional(
    hub: FakeHub, models_dir: list[str], tmp_path: Path, capsys: Captured
) -> None:
    cli.main([*models_dir, "pull", "personaplex"])
    file = tmp_path / "personaplex" / "model.safetensors"
    file.write_bytes(b"x" * 40_000)
    capsys.readouterr()
    assert cli.main([*models_dir, "--json", "verify", "personaplex"]) == 1
    found, detail = state(capsys)
    assert found == "corrupt"
    assert "model.safetensors has SHA-256" in str(detail)
    (tmp_path / "personaplex" / "voices" / "NATM1.pt").unlink()
    file.write_bytes(hub.files["model.safetensors"])
    assert cli.main([*models_dir, "--json", "verify", "personaplex"]) == 0
    assert state(capsys)[0] == "missing"


def test_a_folder_filled_by_hand_is_present_and_unchecked(
    hub: FakeHub, models_dir: list[str], tmp_path: Path, capsys: Captured
) -> None:
    folder = tmp_path / "personaplex"
    (folder / "voices").mkdir(parents=True)
    for name in ("model.safetensors", "tokenizer-e351c8d8-checkpoint125.safetensors", "tokenizer_spm_32k_3.model"):
        (folder / name).write_bytes(hub.files[name])
    assert cli.main([*models_dir, "--json", "verify", "personaplex"]) == 0
    found, detail = state(capsys)
    assert found == "present"
    assert "nothing to check it by" in str(detail)
    (folder / "voices").rmdir()
    cli.main([*models_dir, "--json", "list"])
    assert "voices is not there" in str(state(capsys)[1])


def test_without_a_token(
    hub: FakeHub, models_dir: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    assert cli.main([*models_dir, "pull", "personaplex"]) == 2
    assert "set HF_TOKEN to it" in capsys.readouterr().err


def test_a_transfer_that_breaks_off(hub: FakeHub, models_dir: list[str], capsys: Captured) -> None:
    hub.broken_off = 1_000
    assert cli.main([*models_dir, "pull", "personaplex"]) == 1
    assert "goes on where it stopped" in capsys.readouterr().err


# --- size


def test_the_table_of_a_card(capsys: Captured) -> None:
    assert cli.main(["models", "size", "personaplex", "--gpu", "l40s"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "L40S 48GB: memory for 16 slots with 16-bit weights and 3000 frames (240 s)"
    assert lines[2].split() == ["language", "model", "15.38"]
    assert "46.3 of its 80 ms; within 60 ms 23" in lines[-2]


def test_the_parts_and_what_is_left_are_all_there_is(capsys: Captured) -> None:
    cli.main(["models", "size", "personaplex", "--gpu", "H100", "--weights", "8", "--context", "1500"])
    lines = capsys.readouterr().out.splitlines()
    start = lines.index(next(line for line in lines if line.startswith("language model")))
    assert sum(float(line.split()[-1]) for line in lines[start : start + 7]) == pytest.approx(80, abs=0.05)


def test_a_size_as_json(capsys: Captured) -> None:
    assert cli.main(["models", "size", "personaplex", "--memory-gb", "80", "--json"]) == 0
    found = answer(capsys)
    assert (found["slots"], found["askedSlots"], found["refused"]) == (35, 35, "")
    assert found["tickFloorMs"] is None
    assert cli.main(["models", "--json", "size", "personaplex", "--gpu", "L4", "--slots", "2"]) == 0
    assert answer(capsys)["tickFloorMs"] == 60.0


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--gpu", "L40S", "--slots", "17"], "17 slots need 48.6 GB, L40S 48GB has 48.0: 16 would fit; take fewer"),
        (["--gpu", "L40S", "--weights", "8", "--slots", "30"], "21 would fit; take fewer\n"),
        (["--memory-gb", "16"], "1 slot needs 21.2 GB, 16 GB has 16.0: none would fit; take a larger card"),
        (["--gpu", "L4", "--context", "1000", "--slots", "10"], "take fewer"),
        (["--gpu", "A10", "--context", "250", "--slots", "90"], "take fewer"),
    ],
)
def test_more_than_fit_are_refused(arguments: list[str], why: str, capsys: Captured) -> None:
    assert cli.main(["models", "size", "personaplex", *arguments]) == 1
    assert why in capsys.readouterr().err


def test_as_many_as_fit_are_not_refused() -> None:
    assert cli.main(["models", "size", "personaplex", "--gpu", "L40S", "--slots", "16"]) == 0


def test_a_tick_that_cannot_be_real_time_is_refused(capsys: Captured) -> None:
    assert cli.main(["models", "size", "personaplex", "--gpu", "GB10", "--slots", "10"]) == 1
    assert "10 slots on GB10 128GB take at least 112 ms for a tick of 80 ms" in capsys.readouterr().err


def test_unasked_it_takes_what_memory_and_reading_allow(capsys: Captured) -> None:
    assert cli.main(["models", "size", "personaplex", "--gpu", "GB10", "--json"]) == 0
    found = answer(capsys)
    assert (found["slots"], found["askedSlots"], found["bandwidthSlots"]) == (63, 4, 0)


def test_an_unknown_card_lists_those_that_are_known(capsys: Captured) -> None:
    assert cli.main(["models", "size", "personaplex", "--gpu", "V100"]) == 2
    assert "--memory-gb, or one of H100 80GB SXM" in capsys.readouterr().err


def gpu(name: str, n_bytes: int, there: bool = True) -> SimpleNamespace:
    found = SimpleNamespace(name=name, total_memory=n_bytes)
    cuda = SimpleNamespace(is_available=lambda: there, get_device_properties=lambda number: found)
    return SimpleNamespace(cuda=cuda)


def test_the_card_of_this_machine(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setitem(sys.modules, "torch", gpu("NVIDIA A100-SXM4-80GB", 84_974_239_744))
    assert cli.main(["models", "size", "personaplex", "--json"]) == 0
    found = answer(capsys)
    assert (found["gpu"], found["slots"], found["bandwidthSlots"]) == ("NVIDIA A100-SXM4-80GB", 38, 68)


def test_no_gpu_on_this_machine(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setitem(sys.modules, "torch", gpu("", 0, there=False))
    assert cli.main(["models", "size", "personaplex"]) == 2
    assert "torch sees no GPU on this machine: say --gpu NAME or --memory-gb X" in capsys.readouterr().err


def test_no_torch_on_this_machine(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert cli.main(["models", "size", "personaplex"]) == 2
    assert "torch is not installed" in capsys.readouterr().err


def test_nothing_large_is_imported_to_calculate() -> None:
    code = (
        "import sys; from services import cli; cli.main(['models', 'size', 'personaplex', '--gpu', 'L4']);"
        " sys.exit(any(name in sys.modules for name in ('torch', 'moshi', 'huggingface_hub', 'numpy')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
