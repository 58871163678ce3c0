import type { RunningMachine } from '../../machine/index.ts'
import { output, sh } from '../shell.ts'

/** What is left in the store of a service. */
export interface Kept {
  /** What the memfd says; empty without one. */
  readonly words: string
  /** Names of the descriptors that the service gets when it starts again. */
  readonly names: string
}

/** File descriptors of a service: a memfd with some words, and a socket (its own end of its log). */
const STORE =
  'exec 3<&0 4>&2; systemd-notify --fd=4 --fdname=socket FDPOLL=0 && systemd-notify --ready --fd=3 --fdname=words; exec sleep infinity'
const READ =
  'echo "$LISTEN_FDNAMES"; fd=3; IFS=:; for name in $LISTEN_FDNAMES; do [ $name != words ] || cat /proc/self/fd/$fd; fd=$((fd + 1)); done'
const RESULT = '/run/bootwright-kept'

/** The setting that says what is kept, in a unit that can store something. */
export function preserving(mode: string): string {
  return `FileDescriptorStoreMax=8\nFileDescriptorStorePreserve=${mode}\nNotifyAccess=all\n`
}

/** Lets a service that there is, or one made up below /run, store its descriptors. */
export async function store(machine: RunningMachine, service: string, mode: string, words: string): Promise<void> {
  await change(
    machine,
    service,
    `[Service]\n${preserving(mode)}Type=notify\nStandardInput=data\nStandardInputText=${words}\nExecStart=\nExecStart=sh -c ${quoted(STORE)}\n`,
  )
  await machine.run(['systemctl', 'restart', service])
}

/** How many descriptors the manager holds for the service. */
export async function held(machine: RunningMachine, service: string): Promise<number> {
  return Number(await output(machine, 'systemctl', 'show', '--value', '--property=NFileDescriptorStore', service))
}

/** What the service finds when it starts again. */
export async function read(machine: RunningMachine, service: string, mode: string): Promise<Kept> {
  await change(
    machine,
    service,
    `[Service]\n${preserving(mode)}Type=oneshot\nStandardInput=null\nStandardOutput=truncate:${RESULT}\nExecStart=\nExecStart=sh -c ${quoted(READ)}\n`,
  )
  await machine.run(['systemctl', 'start', service])
  const [names = '', words = ''] = (await machine.readFile(RESULT)).toString().split('\n')
  return { names: names.split(':').sort().join(' '), words }
}

/** Ends the service, and forgets what it has stored and how it was changed. */
export async function forget(machine: RunningMachine, service: string): Promise<void> {
  await sh(
    machine,
    'systemctl stop "$1"; systemctl clean --what=fdstore "$1"; rm -rf "/run/systemd/system/$1.d" "/run/systemd/system/$1" "$2"; systemctl daemon-reload; systemctl reset-failed "$1"',
    service,
    RESULT,
  )
}

async function change(machine: RunningMachine, service: string, text: string): Promise<void> {
  const directory = `/run/systemd/system/${service}.d`
  await machine.run(['mkdir', '-p', directory])
  await machine.writeFile(`${directory}/50-bootwright.conf`, text)
  await machine.run(['systemctl', 'daemon-reload'])
}

/** As one word of a unit, in which neither specifiers nor variables are meant for systemd. */
function quoted(script: string): string {
  return `'${script.replaceAll('$', '$$$$').replaceAll('%', '%%')}'`
}
