import { expect, it } from 'vitest'
import { run } from '../system/index.ts'

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
