import { availableParallelism, freemem } from 'node:os'
import { defineConfig } from 'vitest/config'

/** An emulated machine keeps two cores busy and takes this much memory with its page cache. */
const MACHINE_CORES = 2
const MACHINE_BYTES = 2 * 1024 ** 3
const machines = Math.max(
  1,
  Math.min(Math.floor(availableParallelism() / MACHINE_CORES), Math.floor(freemem() / MACHINE_BYTES)),
)

/** `bootwright test --jobs N`; machines also wait for room on the host, see src/testing/room.ts. */
const jobs = Number(process.env.BOOTWRIGHT_JOBS)

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts', 'scripts/**/*.test.ts', 'fuzz/**/*.test.ts'],
          testTimeout: 30_000,
          // Vitest itself would take one less, and with one left run them last, on that one.
          maxWorkers: availableParallelism(),
        },
      },
      {
        test: {
          name: 'vm',
          include: ['vm-tests/**/*.test.ts'],
          // Waits follow progress; this only ends what forgot to.
          testTimeout: 600_000,
          hookTimeout: 600_000,
          maxWorkers: jobs > 0 ? jobs : machines,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
})
