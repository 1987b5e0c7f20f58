"""The one gateway from SymPy to NumPy: ``scalar`` lowers scalar expressions, ``matrix`` lowers matrix programs.

``natural`` writes the linear solver's code: ``staged`` is how, ``stages`` what such code runs on, ``operations`` what
it and lowered matrix programs call.
"""
