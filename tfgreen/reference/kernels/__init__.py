"""The kernels, one family of ops in each file; `registry` knows which op is whose."""
