"""Settings: what starts, and what must not."""

from __future__ import annotations

import pytest

from services.edge.settings import EdgeSettings, is_loopback
from shared.errors import ConfigError
from shared.settings import load_settings

SECRET = "s" * 32


def test_defaults_start_on_loopback_without_a_secret() -> None:
    settings = load_settings(EdgeSettings)
    assert not settings.needs_token
    assert is_loopback(settings.host)
    assert settings.emotion_locked
    assert settings.engine_names[0] == "cascade"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"host": "0.0.0.0"}, "loopback only"),
        ({"host": "edge.example"}, "loopback only"),
        ({"host": "::"}, "loopback only"),
        ({"jwt_secret": "short"}, "32 bytes"),
        ({"jwt_secret": SECRET, "jwks": "/keys.json"}, "not both"),
        ({"engines": "cascade,mouth"}, "mouth"),
        ({"engines": " , "}, "no engine"),
        ({"tls_cert": "/cert.pem"}, "go together"),
        ({"port": 70000}, "PORT"),
        ({"default_voice": "../x"}, "DEFAULT_VOICE"),
        ({"max_per_user": 0}, "MAX_PER_USER"),
    ],
)
def test_what_must_not_start(overrides: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_settings(EdgeSettings, **overrides)


@pytest.mark.parametrize("overrides", [{"jwt_secret": SECRET}, {"jwks": "https://id.example/jwks.json"}])
def test_with_a_secret_it_may_listen_everywhere(overrides: dict[str, object]) -> None:
    settings = load_settings(EdgeSettings, host="0.0.0.0", **overrides)
    assert settings.needs_token
    assert settings.algorithm == ("RS256" if settings.jwks else "HS256")


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITBRAIN_EDGE_JWT_SECRET", SECRET)
    monkeypatch.setenv("SPLITBRAIN_EDGE_ORIGINS", "https://a.example/, https://b.example")
    monkeypatch.setenv("SPLITBRAIN_EDGE_PROFILE", "personal_training")
    settings = load_settings(EdgeSettings)
    assert settings.origin_list == {"https://a.example", "https://b.example"}
    assert not settings.emotion_locked
    assert SECRET not in repr(settings)


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("h", False)],
)
def test_loopback(host: str, local: bool) -> None:
    assert is_loopback(host) is local
