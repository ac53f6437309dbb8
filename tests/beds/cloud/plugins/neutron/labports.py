"""An ML2 mechanism driver that plays the agents this cloud does not have.

A port given to a host is bound there at once, and reported as plugged (ACTIVE) whenever
an agent would have come to report it: after it was bound, and after a live migration
made its binding on the destination the active one. One that is administratively down is DOWN,
as agents report it. Nothing is plugged anywhere.
"""

from neutron_lib import constants, context
from neutron_lib.api.definitions import portbindings
from neutron_lib.plugins import directory
from neutron_lib.plugins.ml2 import api
from oslo_config import cfg

cfg.CONF.register_opts([cfg.StrOpt("vif_type", default=portbindings.VIF_TYPE_OVS)], "labports")


class LabPortsDriver(api.MechanismDriver):
    """Binds ports to the first segment of their network, as ports of kind [labports] vif_type."""

    def initialize(self):
        """Need nothing: the driver keeps no state."""

    def bind_port(self, context):
        segment = context.segments_to_bind[0]
        details = {portbindings.CAP_PORT_FILTER: False}
        up = context.current["admin_state_up"]
        status = constants.PORT_STATUS_ACTIVE if up else constants.PORT_STATUS_DOWN
        context.set_binding(segment[api.ID], cfg.CONF.labports.vif_type, details, status=status)

    def update_port_postcommit(self, context_of_port):
        port = context_of_port.current
        if port[portbindings.VIF_TYPE] != cfg.CONF.labports.vif_type:
            return
        up, down = constants.PORT_STATUS_ACTIVE, constants.PORT_STATUS_DOWN
        wanted = up if port["admin_state_up"] else down
        if port["status"] in (up, down) and port["status"] != wanted:
            plugin = directory.get_plugin()
            plugin.update_port_status(context.get_admin_context(), port["id"], wanted)
