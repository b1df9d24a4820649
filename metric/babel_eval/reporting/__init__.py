"""Results that people can look at: `babel-imagenet report`."""
