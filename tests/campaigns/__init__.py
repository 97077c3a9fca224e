"""Campaigns: long runs that prove the promises under faults, with a short form for every test run.

`python -m tests.campaigns NAME [--minutes M] [--seed S]`. A campaign puts a *load* of jobs on a
running system, an *injector* breaks its processes, the counting upstream says which job called it
how often, and the *checker* compares all three.
"""
