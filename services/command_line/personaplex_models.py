"""`splitbrain models pull` and `size`: the weights of PersonaPlex, and how many sessions a card holds."""

from __future__ import annotations

import argparse
import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from services.command_line import console
from services.command_line.exits import CommandError, Exit
from services.command_line.roles import ROLES, missing_extra
from shared.errors import ConfigError, ModelCorrupt, ModelMissing

if TYPE_CHECKING:
    from services.voice_worker.engines.personaplex.weights.sizing import Card, Fit
    from services.voice_worker.speech.models import ModelStatus

NAME = "personaplex"

TOKEN_VARIABLE = "HF_TOKEN"  # noqa: S105  the name of a variable
XET_VARIABLE = "HF_HUB_DISABLE_XET"


def run(options: argparse.Namespace) -> Exit:
    """Run `pull` or `size`; 1 if the weights are not whole, or more slots are asked for than fit."""
    try:
        return _pull(options) if options.action == "pull" else _size(options)
    except ModuleNotFoundError as error:
        raise missing_extra(ROLES["voice"], error) from error
    except ConfigError as error:
        raise CommandError(Exit.USAGE, str(error)) from error
    except (ModelMissing, ModelCorrupt, OSError) as error:
        raise CommandError(Exit.FAILED, str(error)) from error


def status(models_dir: Path | None, *, hashed: bool) -> ModelStatus:
    """Return the state of the weights as one optional model. ModelCorrupt if their checksums cannot be read."""
    from services.voice_worker.engines.personaplex.weights import store as weights
    from services.voice_worker.speech.models import ModelStatus, default_models_dir

    folder = (models_dir or default_models_dir()) / NAME
    files = weights.verify(folder, hashed=hashed)
    must_be = [file.name for file in files] if (folder / weights.CHECKSUMS).is_file() else weights.NEEDED
    corrupt = [file for file in files if file.state == "corrupt"]
    missing = [file for file in files if file.state == "missing" and file.name in must_be]
    wrong = [*corrupt, *missing]
    whole: Literal["ok", "present"] = "ok" if all(file.state == "ok" for file in files) else "present"
    return ModelStatus(
        name=NAME,
        state="corrupt" if corrupt else "missing" if missing else whole,
        replaced=False,
        optional=True,
        path=folder,
        languages=("en",),
        licence=weights.LICENCE,
        size_bytes=weights.N_BYTES if missing else sum(file.n_bytes for file in files),
        # Where nothing is wrong the last word is the one worth reading: no voices, or nothing to check by.
        detail=wrong[0].detail if wrong else next((file.detail for file in reversed(files) if file.detail), ""),
    )


def _pull(options: argparse.Namespace) -> Exit:
    # The plain transfer goes on where it broke off; who sets this to 0 gets the hub's own. It is read at import.
    os.environ.setdefault(XET_VARIABLE, "1")
    from services.voice_worker.engines.personaplex.weights import store as weights

    folder = Path(options.folder) if options.folder else None
    if folder is None and options.models_dir:
        folder = Path(options.models_dir) / NAME
    files = weights.pull(
        folder,
        token=os.environ.get(TOKEN_VARIABLE, ""),
        repo=options.repo or weights.REPO,
        revision=options.revision or weights.REVISION,
        tell=console.warn,
    )
    if options.json:
        shown = [{"name": f.name, "state": f.state, "path": str(f.path), "sizeBytes": f.n_bytes} for f in files]
        console.say_json({"model": NAME, "files": shown})
    else:
        rows = [(f.name, f.state, f"{f.n_bytes / 1e6:.1f}") for f in files]
        console.say(console.table(("FILE", "STATE", "MB"), rows))
    return Exit.OK


# --- size


def _size(options: argparse.Namespace) -> Exit:
    from services.voice_worker.engines.personaplex.weights import sizing

    name, memory_bytes, card = _chosen(options)
    fit = sizing.fit(memory_bytes, weight_bits=options.weights, context=options.context)
    slots = options.slots or _most(fit, card)
    refusal = _refusal(name, fit, card, slots)
    if options.json:
        console.say_json({"model": NAME, "gpu": name, **_as_json(fit, card, slots), "refused": refusal})
    else:
        _say(name, fit, card, slots)
    if refusal and not options.json:
        console.warn(f"splitbrain: {refusal}")
    return Exit.FAILED if refusal else Exit.OK


def _chosen(options: argparse.Namespace) -> tuple[str, int, Card | None]:
    """Return name, bytes and, if it is known, the data of the card that is asked about."""
    from services.voice_worker.engines.personaplex.weights import sizing

    if options.memory_gb:
        return f"{options.memory_gb:g} GB", round(options.memory_gb * 1e9), None
    if options.gpu:
        card = sizing.find_card(options.gpu)
        if card is None:
            known = ", ".join(each.name for each in sizing.CARDS)
            raise CommandError(Exit.USAGE, f"no data of {options.gpu!r}: give --memory-gb, or one of {known}")
        return card.name, round(card.memory_gb * 1e9), card
    name, memory_bytes = _gpu_here()
    return name, memory_bytes, sizing.find_card(name)


def _gpu_here() -> tuple[str, int]:
    """Return name and bytes of the first GPU as torch sees it. CommandError if there is none, or no torch."""
    try:
        torch = importlib.import_module("torch")
    except ModuleNotFoundError:
        raise CommandError(
            Exit.USAGE, "torch is not installed, so no GPU can be asked: say --gpu NAME or --memory-gb X"
        ) from None
    if not torch.cuda.is_available():
        raise CommandError(Exit.USAGE, "torch sees no GPU on this machine: say --gpu NAME or --memory-gb X")
    found = torch.cuda.get_device_properties(0)
    return str(found.name), int(found.total_memory)


def _most(fit: Fit, card: Card | None) -> int:
    """Return the slots that fit the memory and, if the card is known, can be read within a tick."""
    from services.voice_worker.engines.personaplex.weights import sizing

    if card is None:
        return fit.slots
    by_reading = sizing.bandwidth_cap(card, sizing.TICK_MS, weight_bits=fit.weight_bits, context=fit.context)
    return min(fit.slots, by_reading)


def _refusal(name: str, fit: Fit, card: Card | None, slots: int) -> str:
    """Return why so many slots cannot be; "" if they can, as far as arithmetic tells."""
    from services.voice_worker.engines.personaplex.weights import sizing

    if fit.slots == 0 or slots > fit.slots:
        wanted = max(slots, 1)
        advice = ("take fewer" if fit.slots else "take a larger card") + (", or --weights 8" * (fit.weight_bits == 16))
        return (
            f"{wanted} {'slot needs' if wanted == 1 else 'slots need'} {fit.needed_bytes(wanted) / 1e9:.1f} GB,"
            f" {name} has {fit.memory_bytes / 1e9:.1f}: {fit.slots or 'none'} would fit; {advice}"
        )
    if card is None:
        return ""
    floor_ms = sizing.tick_floor_ms(card, slots, weight_bits=fit.weight_bits, context=fit.context)
    if floor_ms <= sizing.TICK_MS:
        return ""
    return f"{slots} slots on {name} take at least {floor_ms:.0f} ms for a tick of {sizing.TICK_MS:.0f} ms: take fewer"


def _say(name: str, fit: Fit, card: Card | None, slots: int) -> None:
    from services.voice_worker.engines.personaplex.weights import sizing

    seconds = fit.context * sizing.TICK_MS / 1e3
    shape = f"{fit.weight_bits}-bit weights and {fit.context} frames ({seconds:.0f} s)"
    console.say(f"{name}: memory for {fit.slots} slots with {shape}")
    rows = [(part.name, f"{part.n_bytes / 1e9:.2f}") for part in fit.parts]
    rows.append((f"{slots} slots of {fit.slot_bytes / 1e9:.2f}", f"{slots * fit.slot_bytes / 1e9:.2f}"))
    rows.append(("left", f"{(fit.memory_bytes - fit.needed_bytes(slots)) / 1e9:.2f}"))
    console.say(console.table(("PART", "GB"), rows))
    if card is not None:
        floor_ms = sizing.tick_floor_ms(card, slots, weight_bits=fit.weight_bits, context=fit.context)
        cap = sizing.bandwidth_cap(card, weight_bits=fit.weight_bits, context=fit.context)
        console.say(
            f"a tick of {slots} slots reads for at least {floor_ms:.1f} of its {sizing.TICK_MS:.0f} ms;"
            f" within {sizing.BUDGET_MS:.0f} ms {cap} could be read"
        )
        if fit.weight_bits == 8:
            console.say(
                "that is for kernels that read 8 bits as they are: ours make bf16 of them first, and are slower"
            )
    ticks = ", ".join(f"{ms:g} ms for {batch}" for batch, ms in sizing.PUBLISHED_TICKS_MS.items())
    console.say(f"published ticks of this model in another server on one GPU: {ticks}")


def _as_json(fit: Fit, card: Card | None, slots: int) -> dict[str, object]:
    from services.voice_worker.engines.personaplex.weights import sizing

    floor_ms = cap = None
    if card is not None:
        floor_ms = round(sizing.tick_floor_ms(card, slots, weight_bits=fit.weight_bits, context=fit.context), 1)
        cap = sizing.bandwidth_cap(card, weight_bits=fit.weight_bits, context=fit.context)
    return {
        "memoryBytes": fit.memory_bytes,
        "weightBits": fit.weight_bits,
        "context": fit.context,
        "slots": fit.slots,
        "askedSlots": slots,
        "slotBytes": fit.slot_bytes,
        "parts": {part.name: part.n_bytes for part in fit.parts},
        "tickFloorMs": floor_ms,
        "bandwidthSlots": cap,
    }
