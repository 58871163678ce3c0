import { CHANNEL_PORT } from './qemu-command.ts'

/**
 * What runs at the guest's end of the channel: a POSIX shell that reads requests from a virtio-serial port.
 *
 * It is no part of the image. It comes in as a system credential and is started by a unit that comes in as another one.
 * A request is one line that calls a function below; a reply is `BOUNDARY STATUS\n` stdout `BOUNDARY\n` stderr
 * `BOUNDARY\n`. The boundary is random, new for each request, and never told to the command that runs.
 *
 * Under emulation a process costs milliseconds: everything that a shell does by itself is left to it.
 */
/** The first words of the guest's end. */
export const CHANNEL_BANNER = 'bootwright channel 1'

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
d=\${BOOTWRIGHT_CHANNEL_DIRECTORY:-/run/bootwright}
nl='
'
mkdir -p $d && cd / || exit 1
rm -f $d/done
mkfifo $d/done && exec 4<>$d/done || exit 1

# The other end says nothing before this: until now the firmware may have been listening.
printf '\\n%s\\n' '${CHANNEL_BANNER}' >&3

# Replies are written by one process, whole, in the order in which commands end.
(
  while read -r b status <&4; do
    echo "$b $status" >&3
    [ -s $d/$b.out ] && cat $d/$b.out >&3
    echo "$b" >&3
    [ -s $d/$b.err ] && cat $d/$b.err >&3
    echo "$b" >&3
    rm -f $d/$b.*
  done
) &

hello() { echo "$1 0" >&4; }

# A body that 'put' has stored is standard input.
run() {
  b=$1; shift
  i=/dev/null; [ -e $d/$b.in ] && i=$d/$b.in
  : >$d/$b.run
  (
    exec 3>&-
    ( exec 4>&-; exec "$@" ) <$i >$d/$b.out 2>$d/$b.err &
    echo $! >$d/$b.pid
    wait $!
    echo "$b $?" >&4
  ) &
}

stop() {
  while [ ! -s $d/$2.pid ] && [ -e $d/$2.run ]; do sleep 0.05; done
  { read -r pid <$d/$2.pid && kill -"$1" "$pid"; } 2>/dev/null
}

# Raw bytes follow the line. All of them are taken off the port even where they cannot be stored.
put() { head -c "$2" <&3 | { cat >$d/$1.in || { cat >/dev/null; false; }; } 2>$d/$1.err; }
store() {
  { put "$1" "$2" && mkdir -p "\${4%/*}" && cp $d/$1.in "$4.bw-$1" && chmod "$3" "$4.bw-$1" && mv -f "$4.bw-$1" "$4"; } 2>>$d/$1.err
  echo "$1 $?" >&4
}

while :; do
  while IFS= read -r line <&3; do eval "$line"; done
  # The other end is away; it comes back after a restore.
  sleep 0.1
done
`

export const CHANNEL_UNIT = 'bootwright-channel.service'

const UNIT = `[Unit]
Description=Bootwright guest channel
DefaultDependencies=no
IgnoreOnIsolate=yes
ConditionPathExists=!/etc/initrd-release
After=systemd-remount-fs.service
[Service]
LoadCredential=script:bootwright.channel
ExecStart=/bin/sh \${CREDENTIALS_DIRECTORY}/script
StandardOutput=journal
KillMode=mixed
OOMScoreAdjust=-900
Restart=on-failure
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
