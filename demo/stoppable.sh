#!/bin/sh
# To be sourced by scripts with long steps. `stoppable COMMAND...` runs a step in its own process group, and gives its
# status. When the script is told to stop (Ctrl-C, SIGTERM, a closed terminal), all of that group is killed; then the
# script prints the sentence $stopped and ends. What the step has made by then is for the script to delete.
stop() { # stop STATUS
  trap '' INT TERM HUP
  # The second kill is for a step so new that it has no group yet.
  if [ "$in_step" ]; then kill -KILL "-$!" || kill -KILL "$!" || true; fi 2>/dev/null
  wait 2>/dev/null
  # shellcheck disable=SC2154 # the script says it
  echo "$stopped" >&2
  exit "$1"
}
trap 'stop 130' INT
trap 'stop 143' TERM
trap 'stop 129' HUP

in_step=
stoppable() {
  in_step=yes
  if command -v setsid >/dev/null; then setsid "$@" & else "$@" & fi # macOS has none: there, only the step is killed
  wait "$!" && status=0 || status=$?
  in_step=
  return "$status"
}
