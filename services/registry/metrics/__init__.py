"""`GET /metrics`: what this machine's processes counted, and what the database knows.

figures  what this process counts
facts    what is so for the whole installation, read from the database
view     both, gathered for one scrape
routes   who may see it
"""
