"""`unrolled report`: one HTML page, without network, of panels, derivations, checks and an interactive figure."""
