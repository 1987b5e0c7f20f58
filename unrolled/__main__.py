"""``python -m unrolled`` is the program ``unrolled``."""

from derivations.__main__ import main

if __name__ == "__main__":
    main()
