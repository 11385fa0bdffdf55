"""What pyproject.toml cannot say: the native module, and the one wheel for all CPythons."""

import sysconfig

from setuptools import setup

# Free-threaded builds have no stable ABI before 3.15: their wheel is their own.
ONE_WHEEL = not sysconfig.get_config_var("Py_GIL_DISABLED")

setup(
    cffi_modules=["csrc/build_ffi.py:ffibuilder"],
    options={"bdist_wheel": {"py_limited_api": "cp310"}} if ONE_WHEEL else {},
)
