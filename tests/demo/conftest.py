"""The beds of the stories."""

from tests.e2e import conftest as stories

beside_others, cloud = stories.beside_others, stories.cloud
cloud_bed, kube_bed, tidy_end = stories.cloud_bed, stories.kube_bed, stories.tidy_end
