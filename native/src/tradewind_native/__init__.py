"""Cython kernels of the platform, each with a plain-Python twin in the lib that owns its concept.

Importing a kernel whose extension module was not built is an ImportError: there is no silent fallback.
"""
