import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { run } from '../system/index.ts'
import { bundle } from './bundle.ts'
import { guestToolNames } from './tools.ts'

it('a guest tool starts without what only others need', async () => {
  const main = JSON.stringify(new URL('./main.ts', import.meta.url).href)
  const script = `
    import { registerHooks } from 'node:module'
    const loaded = []
    registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
    process.argv = [process.argv[0], 'main', 'systemd-imdsd', '--version']
    await import(${main})
    process.on('exit', () => console.log(loaded.filter((url) => /\\/src\\/(?:sysupdate|guest\\/(?:measure|sysupdate))\\//.test(url)).join(' ')))`
  const { stdout } = await run({ argv: [process.execPath, '--input-type=module', '--eval', script] })
  expect(stdout).toBe('systemd 262 (bootwright)\n\n')
})

it('no guest tool starts with HTTP, TLS or cryptography', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'bootwright-start-'))
  try {
    const [script, watch] = [join(directory, 'main.cjs'), join(directory, 'watch.cjs')]
    await writeFile(script, await bundle('main'))
    await writeFile(
      watch,
      `process.on('exit', () => {
        console.log(process.moduleLoadList.filter((name) => /^NativeModule (?:https?|tls|crypto)$/.test(name)).join(' '))
      })`,
    )
    for (const name of guestToolNames()) {
      const { stdout } = await run({ argv: [process.execPath, `--require=${watch}`, script, name, '--help'] })
      expect({ name, loaded: stdout.split('\n').at(-2) }).toEqual({ name, loaded: '' })
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
})
