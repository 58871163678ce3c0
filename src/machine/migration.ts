import { BootwrightError } from '../system/index.ts'
import type { Qmp } from './qmp.ts'

/**
 * `mapped-ram` gives each page a fixed place in the file, so pages that hold nothing take no space and all cores read at
 * once (`multifd`); QEMU writes such files with a machine that does not run (qemu, docs/devel/migration/mapped-ram).
 */
const CAPABILITIES = ['events', 'mapped-ram', 'multifd'].map((capability) => ({ capability, state: true }))

/** Writes RAM and device state of a paused machine to a file. Rejects with `SNAPSHOT_FAILED` and QEMU's reason. */
export function saveMemory(qmp: Qmp, path: string): Promise<void> {
  return migrate(qmp, () => qmp.execute('migrate', { uri: `file:${path}` }), 'saved')
}

/** Reads what {@link saveMemory} wrote into a machine started with `-incoming defer`; it stays paused. */
export function restoreMemory(qmp: Qmp, path: string): Promise<void> {
  return migrate(qmp, () => qmp.execute('migrate-incoming', { uri: `file:${path}` }), 'restored')
}

async function migrate(qmp: Qmp, begin: () => Promise<unknown>, done: string): Promise<void> {
  const over = Promise.withResolvers<string>()
  const stop = qmp.onEvent((event) => {
    if (event.event !== 'MIGRATION') return
    const { status } = event.data as { status: string }
    if (status === 'completed' || status === 'failed') over.resolve(status)
  })
  try {
    await qmp.execute('migrate-set-capabilities', { capabilities: CAPABILITIES })
    // QEMU may end over it without an answer.
    await begin().catch((error: unknown) => {
      if (!qmp.isClosed) throw error
    })
    const status = await Promise.race([over.promise, qmp.closed])
    if (status === 'completed') return
    const told = status === undefined ? undefined : await qmp.execute('query-migrate').catch(() => undefined)
    throw new BootwrightError(
      'SNAPSHOT_FAILED',
      `The memory of the machine could not be ${done}: ${told?.['error-desc'] ?? 'QEMU ended over it'}`,
      { hint: "QEMU's own words are in qemu.log of the machine's state directory." },
    )
  } finally {
    stop()
  }
}
