import { readFileSync } from 'node:fs'
import { hostname, release } from 'node:os'
import { parseOsRelease } from '../formats/index.ts'
import { resolveBelow } from './root-path.ts'
import type { Specifiers } from './specifiers.ts'

const ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: 'x86-64',
  ia32: 'x86',
  ppc64: 'ppc64-le',
  loong64: 'loongarch64',
  mipsel: 'mips-le',
}

/** The architecture of this program, as systemd names it. */
export function systemArchitecture(): string {
  return ARCHITECTURES[process.arch] ?? process.arch
}

/** os-release(5) of the system below a root; empty without one. */
export function readOsRelease(root: string): ReadonlyMap<string, string> {
  for (const path of ['/etc/os-release', '/usr/lib/os-release']) {
    const bytes = readBelow(root, path)
    if (bytes !== undefined) return parseOsRelease(bytes)
  }
  return new Map()
}

/** Specifiers of the system below a root; what is of the running kernel stays that of the host. */
export function hostSpecifiers(root: string): Specifiers {
  let release_: ReadonlyMap<string, string> | undefined
  const osRelease = (key: string): string => {
    release_ ??= readOsRelease(root)
    return release_.get(key) ?? ''
  }
  return (letter) => {
    switch (letter) {
      case 'a':
        return systemArchitecture()
      case 'A':
        return osRelease('IMAGE_VERSION')
      case 'b':
        return text('/', '/proc/sys/kernel/random/boot_id')?.replaceAll('-', '')
      case 'B':
        return osRelease('BUILD_ID')
      case 'H':
        return hostname()
      case 'l':
        return hostname().split('.', 1)[0]
      case 'q':
        return machineInfo(root, 'PRETTY_HOSTNAME') ?? hostname()
      case 'm': {
        const id = text(root, '/etc/machine-id')
        return id !== undefined && /^[0-9a-f]{32}$/.test(id) ? id : undefined
      }
      case 'M':
        return osRelease('IMAGE_ID')
      case 'o':
        return osRelease('ID')
      case 'T':
        return root === '/' ? temporary('/tmp') : '/tmp'
      case 'V':
        return root === '/' ? temporary('/var/tmp') : '/var/tmp'
      case 'v':
        return release()
      case 'w':
        return osRelease('VERSION_ID')
      case 'W':
        return osRelease('VARIANT_ID')
      default:
        return undefined
    }
  }
}

/** A field of machine-info(5). */
export function machineInfo(root: string, key: string): string | undefined {
  const bytes = readBelow(root, '/etc/machine-info')
  return bytes === undefined ? undefined : parseOsRelease(bytes).get(key)
}

function temporary(usual: string): string {
  const { TMPDIR, TEMP, TMP } = process.env
  return [TMPDIR, TEMP, TMP].find((path) => path?.startsWith('/')) ?? usual
}

function text(root: string, path: string): string | undefined {
  return readBelow(root, path)?.toString().trim()
}

function readBelow(root: string, path: string): Buffer | undefined {
  try {
    return readFileSync(resolveBelow(root, path))
  } catch {
    return undefined
  }
}
