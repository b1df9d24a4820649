"""Commands of `babel-imagenet`, one module each; heavy imports stand inside the functions."""
