"""An ML2 mechanism driver that plays the agents this cloud does not have.

A port given to a host is bound there at once, and reported as plugged (ACTIVE) whenever
an agent would have come to report it: after it was bound, and after a live migration
made its binding on the destination the active one. Nothing is plugged anywhere.
"""

from neutron_lib import constants, context
from neutron_lib.api.definitions import portbindings
from neutron_lib.plugins import directory
from neutron_lib.plugins.ml2 import api
from oslo_config import cfg

cfg.CONF.register_opts([cfg.StrOpt("vif_type", default=portbindings.VIF_TYPE_OVS)], "labports")


class LabPortsDriver(api.MechanismDriver):
    """Binds ports to the first segment of their network, as ports of the kind [labports] vif_type."""

    def initialize(self):
        """Need nothing: the driver keeps no state."""

    def bind_port(self, context):
        segment = context.segments_to_bind[0]
        details = {portbindings.CAP_PORT_FILTER: False}
        status = constants.PORT_STATUS_ACTIVE
        context.set_binding(segment[api.ID], cfg.CONF.labports.vif_type, details, status=status)

    def update_port_postcommit(self, context_of_port):
        port = context_of_port.current
        plugged = (
            port[portbindings.VIF_TYPE] == cfg.CONF.labports.vif_type and port["admin_state_up"]
        )
        if plugged and port["status"] == constants.PORT_STATUS_DOWN:
            directory.get_plugin().update_port_status(
                context.get_admin_context(), port["id"], constants.PORT_STATUS_ACTIVE
            )
