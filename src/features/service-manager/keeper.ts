import type { RunningMachine } from '../../machine/index.ts'
import { output } from '../shell.ts'

/** Whose services they are. */
export interface Manager {
  /** The command that controls it. */
  readonly systemctl: readonly string[]
  /** Where it finds units for as long as the machine runs. */
  readonly unitDirectory: string
}

const SYSTEM: Manager = { systemctl: ['systemctl'], unitDirectory: '/run/systemd/system' }

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
export async function store(
  machine: RunningMachine,
  service: string,
  mode: string,
  words: string,
  manager: Manager = SYSTEM,
): Promise<void> {
  await change(
    machine,
    manager,
    service,
    `[Service]\n${preserving(mode)}Type=notify\nStandardInput=data\nStandardInputText=${words}\nExecStart=\nExecStart=sh -c ${quoted(STORE)}\n`,
  )
  await machine.run([...manager.systemctl, 'restart', service])
}

/** How many descriptors the manager holds for the service. */
export async function held(machine: RunningMachine, service: string, manager: Manager = SYSTEM): Promise<number> {
  const { systemctl } = manager
  return Number(await output(machine, ...systemctl, 'show', '--value', '--property=NFileDescriptorStore', service))
}

/** What the service finds when it starts again. */
export async function read(
  machine: RunningMachine,
  service: string,
  mode: string,
  manager: Manager = SYSTEM,
): Promise<Kept> {
  await change(
    machine,
    manager,
    service,
    `[Service]\n${preserving(mode)}Type=oneshot\nStandardInput=null\nStandardOutput=truncate:${RESULT}\nExecStart=\nExecStart=sh -c ${quoted(READ)}\n`,
  )
  await machine.run([...manager.systemctl, 'start', service])
  const [names = '', words = ''] = (await machine.readFile(RESULT)).toString().split('\n')
  return { names: names.split(':').sort().join(' '), words }
}

/** Ends the service, and forgets what it has stored and how it was changed. */
export async function forget(machine: RunningMachine, service: string, manager: Manager = SYSTEM): Promise<void> {
  const { systemctl, unitDirectory } = manager
  const control = (...argv: string[]) => machine.runUnchecked([...systemctl, ...argv])
  await control('stop', service)
  await control('clean', '--what=fdstore', service)
  await machine.run(['rm', '-rf', `${unitDirectory}/${service}.d`, `${unitDirectory}/${service}`, RESULT])
  await control('daemon-reload')
  await control('reset-failed', service)
}

async function change(machine: RunningMachine, manager: Manager, service: string, text: string): Promise<void> {
  const directory = `${manager.unitDirectory}/${service}.d`
  await machine.run(['mkdir', '-p', directory])
  await machine.writeFile(`${directory}/50-bootwright.conf`, text)
  await machine.run([...manager.systemctl, 'daemon-reload'])
}

/** As one word of a unit, in which neither specifiers nor variables are meant for systemd. */
function quoted(script: string): string {
  return `'${script.replaceAll('$', '$$$$').replaceAll('%', '%%')}'`
}
