"""From the voice worker's settings to the engine."""

from __future__ import annotations

from functools import partial

from services.voice_worker.engines.personaplex.engine import PersonaPlexEngine, PersonaPlexOptions
from services.voice_worker.engines.personaplex.model.assemble import TINY, TINY_PADDING_BONUS, ModelChoice, make_model
from services.voice_worker.engines.personaplex.model.sampling import Sampling
from services.voice_worker.settings import VoiceSettings


def build_engine(settings: VoiceSettings) -> PersonaPlexEngine:
    """Return the engine; it loads its model when it is started."""
    choice = ModelChoice(
        source=settings.personaplex_model,
        device=settings.personaplex_device,
        weight_bits=settings.personaplex_weight_bits,
        voices=settings.personaplex_voices,
        stt=settings.personaplex_stt,
    )
    sampling = Sampling(
        text_temperature=settings.personaplex_text_temperature,
        audio_temperature=settings.personaplex_audio_temperature,
        repetition_penalty=settings.personaplex_repetition_penalty,
        padding_bonus=_padding_bonus(settings),
    )
    slots = settings.personaplex_slots
    options = PersonaPlexOptions(slots=slots, mode=settings.personaplex_mode, sampling=sampling)
    return PersonaPlexEngine(options, partial(make_model, choice, slots))


def _padding_bonus(settings: VoiceSettings) -> float:
    if settings.personaplex_padding_bonus is not None:
        return settings.personaplex_padding_bonus
    return TINY_PADDING_BONUS if settings.personaplex_model == TINY else 0.0
