"""The lab: vxmesh's real programs on the real kernel, in network namespaces of their own."""
