"""Servers a remote can live on, started by the tests on loopback, and a proxy that makes them fail.

Each is a context manager; what it started is gone when it is left, also when the test run is killed.
"""
