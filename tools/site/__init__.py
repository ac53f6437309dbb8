"""The documentation as a site: `make docs`. docs/ and other pages of the checkout, and what is made
of the CRDs, of `--help` and of the texts of the reasons, become the pages that MkDocs renders.
"""
