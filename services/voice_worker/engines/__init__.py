"""Voice engines: one interface (`base`), one module or folder for each engine, imported when a setting names it."""
