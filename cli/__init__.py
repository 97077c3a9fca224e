"""The command line: a client of the HTTP API and nothing else.

app          the commands, and what their ends are as exit statuses
session      what a command works with: the server and the output
connection   where the server is and which key opens it
api          calls, pages and streams; failures are the errors of an answer
routes       where things are in the API
output       tables for people, JSON for programs
"""
