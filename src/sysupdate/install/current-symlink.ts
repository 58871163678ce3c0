import { randomBytes } from 'node:crypto'
import { renameSync, rmSync, symlinkSync } from 'node:fs'
import { dirname, relative } from 'node:path'
import { asHostError } from '../../system/index.ts'
import { resolveBelow } from '../root-path.ts'
import type { AcquireOptions } from './payload-source.ts'
import { openPlace } from './place.ts'

export interface CurrentLink {
  readonly path: string
  /** What it leads to: relative to its own directory. */
  readonly target: string
}

/**
 * Makes the link to what was installed last (CurrentSymlink=), in place of the one before it at once.
 *
 * @param link as it is configured: absolute below the root, else below the directory of the target
 * @param installed what it leads to, resolved
 */
export function setCurrentLink(
  link: string,
  installed: string,
  place: { readonly root: string; readonly directory: string | undefined },
  options: Pick<AcquireOptions, 'isSynced'> = {},
): CurrentLink {
  const isAbsolute = link.startsWith('/')
  const path = isAbsolute ? resolveParent(place.root, link) : `${place.directory ?? ''}/${link}`
  const target = relative(dirname(path), installed)
  const base = isAbsolute ? place.root : (place.directory ?? '/')
  const below = path.slice(base.replace(/\/+$/, '').length + 1)
  using opened = openPlace({ root: base, directory: '/', links: 'strict', name: below }, options)
  const temporary = opened.path(`.#`) + randomBytes(8).toString('hex')
  try {
    symlinkSync(target, temporary)
    renameSync(temporary, opened.path(''))
    opened.sync()
  } catch (error) {
    rmSync(temporary, { force: true })
    throw asHostError(error, `Cannot make the link ${path}`)
  }
  return { path, target }
}

/** With the links of its directories resolved, but not itself: it is a link. */
function resolveParent(root: string, link: string): string {
  return `${resolveBelow(root, dirname(link)).replace(/\/+$/, '')}/${link.slice(link.lastIndexOf('/') + 1)}`
}
