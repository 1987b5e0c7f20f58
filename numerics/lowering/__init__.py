"""The one gateway from SymPy to NumPy: ``scalar`` lowers scalar expressions, ``matrix`` lowers matrix programs."""
