"""The kinds of bases that adapters are tried on; `conftest.py` builds a tiny one of each."""

FAMILIES = ("open_clip", "open_clip XLM-R", "m-clip", "transformers CLIP", "transformers SigLIP")
