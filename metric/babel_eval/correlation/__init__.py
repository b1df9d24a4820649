"""Does the benchmark foretell other tasks, and how much of it is enough: `babel-imagenet correlate`."""
