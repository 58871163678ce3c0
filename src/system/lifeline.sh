#!/bin/sh
# lifeline.sh PROGRAM [ARGUMENT…]
#
# Runs PROGRAM until it ends, or until standard input does: then PROGRAM is asked to end, and five seconds later
# everything in this process group is killed. To be started as the leader of a group of its own, with a pipe for
# standard input: however the other end of that pipe dies, nothing that PROGRAM has started outlives it for long.
exec 3<&0 </dev/null
"$@" 3<&- &
program=$!
{
  cat <&3
  kill -TERM "$program"
  sleep 5
  kill -KILL 0
} >/dev/null 2>&1 &
exec 3<&-
wait "$program"
