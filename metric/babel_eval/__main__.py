"""`python -m babel_eval …`, the same as `babel-imagenet …`."""

from babel_eval.cli import main

if __name__ == "__main__":
    main()
