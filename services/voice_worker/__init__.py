"""The mouth and ears: voice engines, the listener beside them, and the speech models that they use."""
