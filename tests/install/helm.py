"""helm, built from its Go module."""

from tests.harness.go_programs import GoProgram

HELM = GoProgram(
    name="helm",
    module="helm.sh/helm/v3",
    version="3.22.0",
    checksum="h1:n1if5iQgHYsujPAcO5oonH/KiSNUmqmUF0iGVjSF3AU=",
    package="cmd/helm",
    variables=("helm.sh/helm/v3/internal/version.version=v3.22.0",),
)
KUBERNETES = "1.37"
"""What `helm template` takes the cluster to be: built from its module it assumes a very old one."""
