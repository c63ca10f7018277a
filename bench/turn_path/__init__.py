"""The turn path: how long a call, a start and an idle minute cost, as ratios to two servers
measured in the same run.
"""
