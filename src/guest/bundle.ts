import { extname, join } from 'node:path'
import { BootwrightError } from '../system/index.ts'
import { inAscii, withLazyBuiltins } from './quick-start.ts'

const EXTENSION = extname(import.meta.filename)

/** A module with everything that it imports, and nothing that it does not use, as one CommonJS script. */
export async function bundle(module: string): Promise<string> {
  const { rolldown } = await import('rolldown').catch((cause: unknown) => {
    throw new BootwrightError('TOOL_MISSING', 'The guest tools are put together by rolldown, which is not installed', {
      hint: 'It comes with Vitest: npm install --save-dev vitest.',
      cause,
    })
  })
  const bundled = await rolldown({
    input: join(import.meta.dirname, `${module}${EXTENSION}`),
    platform: 'node',
    // Of what a folder shows, only what is used is loaded.
    treeshake: { moduleSideEffects: false },
  })
  try {
    const { output } = await bundled.generate({ format: 'cjs', codeSplitting: false })
    return inAscii(withLazyBuiltins(output[0].code))
  } finally {
    await bundled.close()
  }
}
