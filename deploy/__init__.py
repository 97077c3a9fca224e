"""How Dragoman is run: bootstrap, process table, local runner and the commands of `./dragoman`."""
