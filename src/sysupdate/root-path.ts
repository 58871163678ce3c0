import { lstatSync, readlinkSync } from 'node:fs'
import { BootwrightError } from '../system/index.ts'

const MAX_LINKS = 40

/**
 * Resolves a path as if `root` were `/`: links lead nowhere outside of it. What does not exist is taken as it is written,
 * so that the result may name something that is yet to be made.
 *
 * Rejects with `INVALID_ARGUMENT` for links that go round, or, with `links: 'prohibited'`, for any link.
 */
export function resolveBelow(root: string, path: string, options: { readonly links?: 'prohibited' } = {}): string {
  const base = root.replace(/\/+$/, '')
  const done: string[] = []
  const ahead = path.split('/').filter((part) => part !== '')
  let links = 0
  for (let part = ahead.shift(); part !== undefined; part = ahead.shift()) {
    if (part === '.') continue
    if (part === '..') {
      done.pop()
      continue
    }
    done.push(part)
    const here = `${base}/${done.join('/')}`
    const facts = lstatSync(here, { throwIfNoEntry: false })
    if (facts?.isSymbolicLink() !== true) continue
    if (options.links === 'prohibited') {
      throw new BootwrightError('INVALID_ARGUMENT', `${here} is a symbolic link, which is not allowed here`, {
        hint: 'Put the directory itself in its place.',
      })
    }
    if (++links > MAX_LINKS) {
      throw new BootwrightError('INVALID_ARGUMENT', `${base}${path} leads through more than ${MAX_LINKS} links`, {
        hint: 'Look for links that lead to each other.',
      })
    }
    const target = readlinkSync(here)
    done.pop()
    if (target.startsWith('/')) done.length = 0
    ahead.unshift(...target.split('/').filter((piece) => piece !== ''))
  }
  return `${base}/${done.join('/')}`
}
