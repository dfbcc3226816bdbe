"""Sessions: on the CPU, with the threads that were asked for, and not spinning."""

from __future__ import annotations

import pytest

from services.voice_worker.hosts.onnx import session
from services.voice_worker.hosts.serve import HostOptions


@pytest.mark.models
def test_settings_of_a_session(options: HostOptions) -> None:
    opened = session(options.models_dir / "moonshine-tiny-en" / "encoder_model.ort", 2)
    assert opened.get_providers() == ["CPUExecutionProvider"]
    settings = opened.get_session_options()
    assert settings.intra_op_num_threads == 2
    assert settings.get_session_config_entry("session.intra_op.allow_spinning") == "0"
