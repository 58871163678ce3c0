import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { run } from '../system/index.ts'
import { CHECKOUT } from './paths.ts'

const text = (path: string) => readFile(join(CHECKOUT, path), 'utf8')

it('README.md names every command', async () => {
  const { stdout } = await run({ argv: [process.execPath, join(import.meta.dirname, 'main.ts'), '--help'] })
  const commands = [...(stdout.split('Commands:')[1] ?? '').matchAll(/^ {2}(\S+)/gm)].map(([, name]) => name)
  expect(commands).toContain('verify')
  const named = [...(await text('README.md')).matchAll(/\.\/bootwright ([a-z-]+)/g)].map(([, name]) => name)
  expect(commands.filter((name) => name !== 'help' && !named.includes(name))).toEqual([])
  expect(named.filter((name) => !commands.includes(name))).toEqual([])
})

it('README.md leads to every page of docs, and images/README.md tells what each image is for', async () => {
  const [readme, images] = await Promise.all([text('README.md'), text('images/README.md')])
  const pages = (await readdir(join(CHECKOUT, 'docs'))).filter((name) => name.endsWith('.md'))
  expect(pages.filter((name) => !readme.includes(`](docs/${name})`))).toEqual([])
  const directories = await readdir(join(CHECKOUT, 'images'), { withFileTypes: true })
  const names = directories.filter((entry) => entry.isDirectory()).map(({ name }) => name)
  expect(names.filter((name) => !images.includes(`| \`${name}\` |`))).toEqual([])
})
