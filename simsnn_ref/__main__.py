"""``python -m simsnn_ref`` is the command ``simsnn``."""

from simsnn_ref.commands.main import main

if __name__ == "__main__":
    raise SystemExit(main())
