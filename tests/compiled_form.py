"""Pytest plugin: the form of the data plane that a run tests, by GATEWAY_FORM as a gateway process reads it; `plain` if unset.

Loaded before anything that imports the data plane. Processes that tests start inherit the variable, and so the form.
"""

import os

from runtime.compiled.form import Form, use

FORM = use(os.environ.setdefault("GATEWAY_FORM", Form.PLAIN))
