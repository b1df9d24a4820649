"""Language adapters: captions, objectives, adapter methods."""
