"""What touches torch and moshi: loading, one batched step, prefill, the codec. Knows no session and no event loop."""
