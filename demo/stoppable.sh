#!/bin/sh
# To be sourced by scripts with long steps. `stoppable COMMAND...` runs a step in a process group of its own, and gives its
# status. When the script is told to stop (Ctrl-C, SIGTERM, a closed terminal), all of that group is killed; then the
# script prints the sentence $stopped and ends. What the step has made by then is for the script to delete.
stop() { # stop STATUS
  trap '' INT TERM HUP
  kill -KILL "-$step" 2>/dev/null || true
  wait "$step" 2>/dev/null || true
  # shellcheck disable=SC2154 # the script says it
  echo "$stopped" >&2
  exit "$1"
}

stoppable() {
  setsid "$@" &
  step=$!
  trap 'stop 130' INT
  trap 'stop 143' TERM
  trap 'stop 129' HUP
  wait "$step"
}
