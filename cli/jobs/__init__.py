"""`jobs`: chats in the background.

group       the group itself
showing     list, show, messages, attempts, cancel, delete
watching    watch
following   a job's states and its text, as they come
submitting  submit: a file of chats
running     one run of it
lines       what a line of that file may be
results     the file of results, of which every line has at most one
sending     many chats at once, each once
progress    how far it is, on standard error
"""

from cli.jobs import showing as showing
from cli.jobs import submitting as submitting
from cli.jobs import watching as watching
from cli.jobs.group import group as group
