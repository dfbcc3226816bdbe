"""Recognition on the codes that the model hears anyway."""
