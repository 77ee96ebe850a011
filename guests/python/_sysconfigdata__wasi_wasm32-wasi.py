"""What `sysconfig` says of the build. A script cannot compile, so that is only where time zones would be."""

build_time_vars = {"TZPATH": "/usr/share/zoneinfo"}
