/**
 * Makes `dist/` for npm: Node does not strip types below `node_modules`, so what is installed is JavaScript.
 *
 * `npm pack` and `npm publish` call it (`prepack`); nothing in a checkout needs it.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, globSync, mkdirSync, rmSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')
const dist = join(root, 'dist')

rmSync(dist, { recursive: true, force: true })
const compiler = join(root, 'node_modules/typescript/bin/tsc')
execFileSync(process.execPath, [compiler, '--project', join(root, 'tsconfig.build.json')], { stdio: 'inherit' })
// What is no TypeScript lies beside it.
for (const file of globSync('**/*.sh', { cwd: join(root, 'src') })) {
  mkdirSync(dirname(join(dist, file)), { recursive: true })
  copyFileSync(join(root, 'src', file), join(dist, file))
}
chmodSync(join(dist, 'cli/main.js'), 0o755)
