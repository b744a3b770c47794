"""Reads Kubernetes' own words about a workload that is not as wanted.

It follows a workload to its ReplicaSet, pods and containers, and back to what a pod mounts, names
or waits for, and takes the first thing that is wrong. It knows no case: what it tells is the
condition or the event, whole.
"""
