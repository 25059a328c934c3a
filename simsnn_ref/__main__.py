"""``python -m simsnn_ref`` is the command ``simsnn``."""

from simsnn_ref.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
