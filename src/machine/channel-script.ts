import { CHANNEL_PORT } from './qemu-command.ts'

/**
 * What runs at the guest's end of the channel: a POSIX shell that reads requests from a virtio-serial port.
 *
 * It is no part of the image. It comes in as a system credential and is started by a unit that comes in as another one.
 * A request is one line that calls a function below; a reply is a row of frames (see channel-frames.ts), each under a
 * boundary that is random, new for each request, and never told to the command that runs.
 *
 * Under emulation a process costs milliseconds: everything that a shell does by itself is left to it.
 */
/** The first words of the guest's end, each time it starts. */
export const CHANNEL_BANNER = 'bootwright channel 2'

/** Bytes of a process's output in one frame at most, and of its input in one request. */
export const CHUNK_BYTES = 65_536

const FIND_PORT = `
port=
while [ -z "$port" ]; do
  for p in /sys/class/virtio-ports/*; do
    read -r name <"$p/name" 2>/dev/null && [ "$name" = ${CHANNEL_PORT} ] && port=/dev/\${p##*/}
  done
  [ -c "$port" ] || { port=; sleep 0.2; }
done
exec 3<>"$port" || exit 1
`

/** Serves descriptor 3. */
export const SERVE = `
umask 077
# Debian and upstream keep systemd-imds and its like out of the way of users: here nobody else is.
export PATH="$PATH:/usr/lib/systemd"
d=\${BOOTWRIGHT_CHANNEL_DIRECTORY:-/run/bootwright}
nl='
'
rm -rf $d
mkdir -p $d && cd / && mkfifo $d/turn && exec 4<>$d/turn || exit 1

# Whoever holds the only byte of this pipe may write to the port. A newline is read whole or not at all.
turn() { read -r t <&4; }
over() { echo >&4; }
over

# The other end says nothing before this: until now the firmware may have been listening.
printf '\\n%s\\n' '${CHANNEL_BANNER}' >&3

say() { turn; echo "$1" >&3; over; }
hello() { say "$1 x 0"; }

reply() {
  turn
  {
    [ -s $d/$1.out ] && { echo "$1 o"; cat $d/$1.out; echo "$1"; }
    [ -s $d/$1.err ] && { echo "$1 e"; cat $d/$1.err; echo "$1"; }
    echo "$1 x $2"
  } >&3
  over
  rm -f $d/$1.*
}

# What the channel has for itself is not for commands: its descriptors, its mask, its place in the kernel's list of victims.
command_of_its_own() {
  exec 3>&- 4>&- 5>&- 6>&- 7>&-
  umask 022
  echo 0 2>/dev/null >/proc/self/oom_score_adj
  exec "$@"
}

# A body that 'put' has stored is standard input.
run() {
  b=$1; shift
  i=/dev/null; [ -e $d/$b.in ] && i=$d/$b.in
  [ -e $d/$b.bad ] && { reply $b 1; return; }
  : >$d/$b.run
  (
    command_of_its_own "$@" <$i >$d/$b.out 2>$d/$b.err &
    echo $! >$d/$b.pid
    wait $! 2>/dev/null
    reply $b $?
  ) &
}

# Standard output and error of a process that lives on, piece by piece. The first pieces may come at once, each further
# one when the other end has asked for more: a process whose reader is slow waits, as at any pipe.
pump() {
  exec <$d/$b.$1
  while read -r t <&$2 && dd bs=${CHUNK_BYTES} count=1 >$d/$b.$1.part && [ -s $d/$b.$1.part ]; do
    turn
    { echo "$b $1"; cat $d/$b.$1.part; echo "$b"; } >&3
    over
  done 2>/dev/null
  case $1 in o) say "$b O" ;; e) say "$b E" ;; esac
}

# Standard input: each piece is confirmed when the process has room for it (a), or refused when nobody reads (p).
feeder() {
  exec >$d/$b.i
  while read -r t <&5 && [ "$t" = more ]; do
    if cat $d/$b.i.part; then say "$b a"; else say "$b p"; fi
  done 2>/dev/null
}

spawn() {
  b=$1; shift
  mkfifo $d/$b.i $d/$b.o $d/$b.e $d/$b.i.more $d/$b.o.more $d/$b.e.more
  : >$d/$b.run
  # Open before anything is told to them: a pipe that nobody has open forgets.
  { live "$@" & } 5<>$d/$b.i.more 6<>$d/$b.o.more 7<>$d/$b.e.more
}
live() {
  echo "$nl$nl$nl" >&6
  echo "$nl$nl$nl" >&7
  pump o 6 & pump e 7 & feeder &
  # This shell ignores interrupts for what it starts in the background.
  command_of_its_own env --default-signal=INT,QUIT -- "$@" <$d/$b.i >$d/$b.o 2>$d/$b.e &
  echo $! >$d/$b.pid
  wait $! 2>/dev/null
  say "$b x $?"
  rm -f $d/$b.run $d/$b.pid
  echo end >&5
  wait
  rm -f $d/$b.*
}

tell() { [ -p $d/$1.more ] && echo "$2" 1<>$d/$1.more; }
more() { tell $1.$2 ''; }
close() { tell $1.i end; }
feed() {
  f=/dev/null; [ -p $d/$1.i.more ] && f=$d/$1.i.part
  head -c "$2" <&3 >$f
  tell $1.i more
}

# A process and all that it has started and still looks after.
family() {
  echo $1
  for task in /proc/$1/task/*/children; do
    children=
    read -r children <$task
    for child in $children; do family $child; done
  done 2>/dev/null
}

stop() {
  while [ ! -s $d/$2.pid ] && [ -e $d/$2.run ]; do sleep 0.05; done
  { read -r pid <$d/$2.pid && kill -$1 $(family $pid); } 2>/dev/null
}

# Raw bytes follow the line. All of them are taken off the port even where they cannot be stored.
put() { head -c "$2" <&3 | { cat >$d/$1.in || { : >$d/$1.bad; cat >/dev/null; false; }; } 2>$d/$1.err; }
store() {
  {
    put "$1" "$2" && (umask 022 && mkdir -p "\${4%/*}/") && cp $d/$1.in "$4.bw-$1" && chmod "$3" "$4.bw-$1" &&
      mv -fT "$4.bw-$1" "$4"
  } 2>>$d/$1.err
  s=$?
  [ $s = 0 ] || rm -f "$4.bw-$1" 2>/dev/null
  reply "$1" $s
}

while :; do
  while IFS= read -r line <&3; do eval "$line"; done
  # The other end is away; it comes back after a restore.
  sleep 0.1
done
`

export const CHANNEL_UNIT = 'bootwright-channel.service'

/** It outlives what a test does to its guest: a command that eats all memory, or one that kills every process. */
const UNIT = `[Unit]
Description=Bootwright guest channel
DefaultDependencies=no
IgnoreOnIsolate=yes
ConditionPathExists=!/etc/initrd-release
After=systemd-remount-fs.service
StartLimitIntervalSec=0
[Service]
LoadCredential=script:bootwright.channel
ExecStart=/bin/sh \${CREDENTIALS_DIRECTORY}/script
StandardOutput=journal
KillMode=mixed
IgnoreSIGPIPE=no
OOMScoreAdjust=-900
OOMPolicy=continue
Restart=always
`

/** The credentials and the kernel command line word that bring the channel into a guest. */
export function channelCredentials(): { credentials: Record<string, string>; kernelCommandLineExtra: string[] } {
  return {
    credentials: {
      'bootwright.channel': FIND_PORT + SERVE,
      [`systemd.extra-unit.${CHANNEL_UNIT}`]: UNIT,
    },
    kernelCommandLineExtra: [`systemd.wants=${CHANNEL_UNIT}`],
  }
}
