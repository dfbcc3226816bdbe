"""PersonaPlex in process: many sessions in one batch of one model."""
