import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, describe } from 'vitest'
import { aws, expect, type TestMachine, test } from '../src/testing/vitest.ts'

const USER_DATA = `#cloud-config
ssh_genkeytypes: [ed25519]
write_files:
- path: /etc/bootwright/written
  content: by the user data
`
const COLD = { from: 'cold', tpm: 'absent', until: 'power-on' } as const
/** cloud-init waits for the endpoint for 240 s, twice. */
const PATIENCE_MS = 1_200_000
/** The network stays away until the system is there. */
const WITHOUT_INITRD = ['systemd-networkd.service', 'systemd-networkd.socket', 'systemd-imds-import.service'].map(
  (unit) => `rd.systemd.mask=${unit}`,
)
const BY_THE_BROKER = 'ds=nocloud;s=/run/cloud-init-broker/'

interface Row {
  readonly lock: 'unlocked' | 'locked'
  readonly network: 'in the initrd' | 'in the system'
  readonly path: 'as it is' | 'by the broker'
}

/** What came of a boot, as docs/imds.md has it. */
interface Outcome {
  readonly datasource: string
  readonly status: string
  /** What the user data asked for was done. */
  readonly isApplied: boolean
  /** Seconds that cloud-init spent until it had data or gave up. */
  readonly seconds: number
  /** Whether root reaches the endpoint afterwards, without the mark. */
  readonly root: string
  readonly broker: string
}

const ROWS: readonly (Row & { expected: Partial<Outcome>; isStalled: boolean })[] = [
  {
    lock: 'unlocked',
    network: 'in the initrd',
    path: 'as it is',
    expected: { datasource: 'ec2local', status: 'done', isApplied: true, root: 'reached' },
    isStalled: false,
  },
  {
    lock: 'locked',
    network: 'in the initrd',
    path: 'as it is',
    // What cloud-init sets up after it has given up brings a file of its own for networkd, and the lock is gone.
    expected: { datasource: 'ec2', isApplied: true, root: 'reached' },
    isStalled: true,
  },
  {
    lock: 'locked',
    network: 'in the system',
    path: 'as it is',
    expected: { datasource: 'ec2local', isApplied: true },
    isStalled: false,
  },
  {
    lock: 'locked',
    network: 'in the initrd',
    path: 'by the broker',
    expected: { datasource: 'nocloud', status: 'done', isApplied: true },
    isStalled: false,
  },
]

/** A stall counts from here; a boot under emulation is slow as well. */
const STALL_SECONDS = 120

describe.skipIf(process.env.BOOTWRIGHT_TEST_ALL !== '1')(
  "cloud-init and systemd's lock of the metadata endpoint",
  () => {
    const found: (Row & Outcome)[] = []

    for (const { expected, isStalled, ...row } of ROWS) {
      test(
        `${row.lock}, with the network ${row.network}, ${row.path}`,
        async ({ boot }) => {
          const kernelCommandLine = [
            `systemd.imds.network=${row.lock}`,
            ...(row.network === 'in the initrd' ? [] : WITHOUT_INITRD),
            ...(row.path === 'as it is' ? [] : [BY_THE_BROKER]),
          ]
          const cloud = aws({ hostname: 'web-1', userData: USER_DATA })
          await using machine = await boot('cloud-init-imds', { ...COLD, cloud, kernelCommandLine })
          await machine.booted({ idleMs: PATIENCE_MS })
          const outcome = await outcomeOf(machine)
          found.push({ ...row, ...outcome })
          expect(outcome).toMatchObject(expected)
          expect(outcome.seconds > STALL_SECONDS).toBe(isStalled)
        },
        2 * PATIENCE_MS,
      )
    }

    /** The whole table, for docs/imds.md. */
    afterAll(async () => {
      const columns = [
        'lock',
        'network',
        'path',
        'datasource',
        'status',
        'isApplied',
        'seconds',
        'root',
        'broker',
      ] as const
      const lines = found.map((row) => `| ${columns.map((column) => row[column]).join(' | ')} |`)
      const head = [`| ${columns.join(' | ')} |`, `|${' --- |'.repeat(columns.length)}`]
      await writeFile(join(import.meta.dirname, '../out/cloud-init-lock.md'), `${[...head, ...lines].join('\n')}\n`)
    })
  },
)

async function outcomeOf(machine: Pick<TestMachine<true>, 'run' | 'runUnchecked'>): Promise<Outcome> {
  const status = JSON.parse(
    (await machine.runUnchecked(['cloud-init', 'status', '--wait', '--format=json'])).stdout.toString(),
  )
  const { v1 } = JSON.parse((await machine.run(['cat', '/run/cloud-init/status.json'])).stdout.toString())
  const seconds = ['init-local', 'init'].map((stage) => v1[stage].finished - v1[stage].start)
  const written = await machine.runUnchecked(['cat', '/etc/bootwright/written'])
  const broker = await machine.runUnchecked([
    'timeout',
    '10',
    '/usr/lib/systemd/systemd-imds',
    '--cache=no',
    '-K',
    'hostname',
  ])
  return {
    datasource: status.datasource,
    status: status.extended_status,
    isApplied: written.stdout.toString() === 'by the user data',
    seconds: Math.round(seconds.reduce((sum, one) => sum + one, 0)),
    root: (await machine.run(['python3', '-c', KNOCK])).stdout.toString().trim(),
    broker: broker.exitCode === 0 ? 'reached' : broker.exitCode === 124 ? 'no answer' : broker.stderr.toString().trim(),
  }
}

const KNOCK = `
import socket
try:
    socket.create_connection(("169.254.169.254", 80), timeout=5).close()
    print("reached")
except OSError as error:
    print(error.strerror or "no answer")
`
