"""The endpoint task of one pattern: branches, special points, landscape and certificates of its phase transition."""
