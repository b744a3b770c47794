"""What devenv does on the host itself, besides any cluster.

`setup.py` installs missing prerequisites and starts Docker. `purge.py` removes what devenv keeps
besides a cluster, for `down --purge`. `schedule.py` installs the daily run of `devenv schedule run`
with systemd, launchd or cron, and remembers how it went.
"""
