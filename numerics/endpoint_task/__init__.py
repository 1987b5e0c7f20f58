"""The endpoint task of one pattern: branches, special points and landscape of its phase transition."""
