import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { freemem } from 'node:os'
import { join } from 'node:path'

/** What is left to those that are not measured. */
const SPARE_GIB = 4

/**
 * Lets this machine keep its free memory until it is disposed of. Where a host lends it, the kernel gives large free blocks
 * back, and whoever needs memory next pays for getting it again: up to a half of the kernel's time in a build, and more for
 * one than for the other. Pieces that are smaller than such a block stay.
 */
export async function holdMemory(): Promise<AsyncDisposable> {
  const gibibytes = Math.max(1, Math.floor(freemem() / 1024 ** 3) - SPARE_GIB)
  const script = join(import.meta.dirname, 'fragment-memory.py')
  const holder = spawn('python3', [script, String(gibibytes)], { stdio: ['pipe', 'pipe', 'inherit'] })
  await once(holder.stdout, 'data')
  return {
    async [Symbol.asyncDispose]() {
      holder.stdin.end()
      await once(holder, 'close')
    },
  }
}
