import { initrdFiles, malformed } from '../../../formats/index.ts'
import type { Nvpcr } from './nvpcr.ts'

/** Where systemd looks for definitions: of two files with one name, the first counts. */
const DIRECTORIES = ['etc/nvpcr', 'run/nvpcr', 'usr/local/lib/nvpcr', 'usr/lib/nvpcr']
const SUFFIX = '.nvpcr'
const DEFAULT_PRIORITY = 1000
const ALGORITHM = 'sha256'

/**
 * The NvPCRs that an initrd defines, in the order in which it sets them up. `MALFORMED_INPUT` if the initrd cannot be read,
 * or a definition is none that is known here.
 */
export function definedNvpcrs(initrd: Uint8Array): Nvpcr[] {
  const files = [...initrdFiles(initrd)]
  const definitions = new Map<string, Uint8Array>()
  for (const directory of DIRECTORIES) {
    for (const [path, content] of files) {
      const name = path.slice(directory.length + 1)
      const isDefinition = path.startsWith(`${directory}/`) && !name.includes('/') && name.endsWith(SUFFIX)
      if (isDefinition && !definitions.has(name)) definitions.set(name, content)
    }
  }
  return [...definitions]
    .map(([file, content]) => parseDefinition(file, content))
    .sort((a, b) => a.priority - b.priority || (a.name < b.name ? -1 : 1))
}

function parseDefinition(file: string, content: Uint8Array): Nvpcr & { readonly priority: number } {
  const fields = jsonOf(file, content)
  const { name, nvIndex, algorithm = ALGORITHM, priority = DEFAULT_PRIORITY, orderly = true } = fields
  if (typeof name !== 'string') throw wrong(file, 'name', 'a string', name)
  if (typeof nvIndex !== 'number') throw wrong(file, 'nvIndex', 'a number', nvIndex)
  if (algorithm !== ALGORITHM) throw wrong(file, 'algorithm', ALGORITHM, algorithm)
  if (typeof priority !== 'number') throw wrong(file, 'priority', 'a number', priority)
  if (typeof orderly !== 'boolean') throw wrong(file, 'orderly', 'true or false', orderly)
  return { name, nvIndex, isOrderly: orderly, priority }
}

function jsonOf(file: string, content: Uint8Array): Record<string, unknown> {
  try {
    const json: unknown = JSON.parse(Buffer.from(content).toString())
    if (typeof json === 'object' && json !== null) return json as Record<string, unknown>
  } catch {
    // Told below.
  }
  throw malformed({ what: file, field: 'definition', offset: 0 }, 'expected a JSON object')
}

function wrong(file: string, field: string, expected: string, found: unknown): Error {
  const hint = 'Predict a UKI with the definitions of systemd 262.'
  return malformed({ what: file, field, offset: 0 }, `expected ${expected}, found ${JSON.stringify(found)}`, { hint })
}
