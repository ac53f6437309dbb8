"""neutron.wsgi.api, with SQLAlchemy's mappers configured at once.

Without service plugins nothing configures them before the first GET /ports, which then
fails with 500 ("type object 'Port' has no attribute 'port_forwardings'"), and Nova's
GET /servers/detail with it.
"""

from neutron.wsgi.api import application
from sqlalchemy import orm

__all__ = ["application"]

orm.configure_mappers()
