"""`providers`: the registered endpoints.

group      the group itself
showing    list, show, models, events
fields     the options that become a provider's fields
editing    add, edit, delete
checking   test, refresh
"""

from cli.providers import checking as checking
from cli.providers import editing as editing
from cli.providers import showing as showing
from cli.providers.group import group as group
