/**
 * Holds the house together: imports run downwards only, and a folder is entered by its `index.ts`.
 *
 * The order is the one of docs/architecture.md, top to bottom.
 */
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'

const LAYERS = [
  'cli',
  'conformance',
  'features',
  'verify',
  'testing',
  'attest',
  'report',
  'scene',
  'deprecation',
  'guest',
  'imds',
  'cloud',
  'sysupdate',
  'release',
  'measure',
  'machine',
  'tpm',
  'image',
  'varlink',
  'toolchain',
  'formats',
  'system',
]

/** These are functions on plain data: no files, processes, sockets or clocks. */
const PURE = new Set(['measure', 'formats'])
const EDGES = /^node:(fs|child_process|net|http|https|dgram|worker_threads|timers)/

const root = resolve(import.meta.dirname, '..')
const problems: string[] = []

for (const file of globSync('src/**/*.ts', { cwd: root })) {
  const from = file.split('/')[1] ?? ''
  const isTest = file.endsWith('.test.ts')
  if (!LAYERS.includes(from)) {
    problems.push(`${file}: "${from}" is not a layer; the layers are ${LAYERS.join(', ')}`)
    continue
  }
  const text = readFileSync(join(root, file), 'utf8')
  for (const match of text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)) {
    const specifier = match[1] ?? ''
    if (PURE.has(from) && !isTest && EDGES.test(specifier)) {
      problems.push(`${file}: ${from} is pure and must not import ${specifier}`)
    }
    if (!specifier.startsWith('.')) continue
    const target = relative(root, resolve(root, dirname(file), specifier)).split('/')
    if (target[0] !== 'src') continue
    const to = target[1] ?? ''
    if (to === from) continue
    if (LAYERS.indexOf(to) < LAYERS.indexOf(from)) {
      problems.push(`${file}: ${from} must not import ${to}, which lies above it`)
    }
    if (target.at(-1) !== 'index.ts') {
      problems.push(`${file}: enter ${to} by its index.ts, not ${target.slice(2).join('/')}`)
    }
  }
}

if (problems.length > 0) {
  process.stderr.write(`${problems.join('\n')}\n`)
  process.exit(1)
}
