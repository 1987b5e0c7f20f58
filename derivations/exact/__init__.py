"""Exact results under the names by which `unrolled derive` knows them, each a function of what was asked."""
