"""The form of the data plane that is measured, by GATEWAY_FORM: compiled if there is a build of these sources, else plain.

Imported before anything that imports the data plane; processes that a benchmark starts choose by the same variable.
"""

from runtime.compiled.form import use
from runtime.settings import inherited_environment

FORM = use(inherited_environment().get("GATEWAY_FORM", "auto"))
