#!/bin/sh
# patient.sh COMMAND…: run it, show what it said, exit as it did; end it where it hangs.
#
# A busy machine makes a test slow, so no time is set for the whole.  What counts is what has come since the last
# output: so much processor time of all its processes (it runs for ever), or so long with next to none (it sleeps for
# ever).  The last bound keeps within what a CI allows.

burns_s=${PATIENT_BURNS_S:-900}
still_s=${PATIENT_STILL_S:-600}
most_s=${PATIENT_MOST_S:-4500}
look_s=${PATIENT_LOOK_S:-5}

output=$(mktemp) || exit
ticks_s=$(getconf CLK_TCK)
trap 'rm -f "$output"' EXIT

# Processor time of a process and what descends from it, with all that has ended, in ticks.
used() {
  sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | while read -r _ _ _ _ _ _ _ _ _ _ _ a b c d _; do
    echo $((a + b + c + d))
  done
  for child in $(cat "/proc/$1"/task/*/children 2>/dev/null); do used "$child"; done
}

# A process and what descends from it.
family() {
  echo "$1"
  for child in $(cat "/proc/$1"/task/*/children 2>/dev/null); do family "$child"; done
}

sum() {
  total=0
  for n in $(used "$1"); do total=$((total + n)); done
  echo $total
}

watch() {
  trap 'kill "$nap" 2>/dev/null; exit' TERM
  size=-1 start=$(date +%s)
  while :; do
    now=$(date +%s) ticks=$(sum "$1")
    if [ "$(wc -c <"$output")" -ne "$size" ]; then
      size=$(wc -c <"$output") said=$now said_ticks=$ticks slept=$now slept_ticks=$ticks
    elif [ $((ticks - slept_ticks)) -gt "$ticks_s" ]; then
      slept=$now slept_ticks=$ticks
    fi
    if [ $((ticks - said_ticks)) -gt $((burns_s * ticks_s)) ] || [ $((now - slept)) -gt "$still_s" ] ||
        [ $((now - start)) -gt "$most_s" ]; then
      break
    fi
    sleep "$look_s" & nap=$!
    wait $nap
  done
  echo "patient.sh: it hangs, and is ended" >>"$output"
  family=$(family "$1")
  kill $family 2>/dev/null
  sleep 10 & nap=$!
  wait $nap
  kill -9 $family 2>/dev/null
}

"$@" >"$output" 2>&1 &
command=$!
trap 'kill $command 2>/dev/null; kill $watcher 2>/dev/null; exit 130' INT TERM
watch $command >/dev/null 2>&1 &
watcher=$!
wait $command
status=$?
kill $watcher 2>/dev/null
wait $watcher
cat "$output"
exit $status
