import { mkdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import manifest from '../../../package.json' with { type: 'json' }
import { BootwrightError, run } from '../../system/index.ts'
import type { Toolchain } from '../../toolchain/index.ts'
import { SYSUPDATE_ALIASES, SYSUPDATE_UNITS } from './sysupdate-units.ts'
import { writeExtraTree } from './write.ts'

export interface PackageOptions {
  /** The guest tools' program. */
  readonly program: string
  readonly toolchain: Pick<Toolchain, 'command'>
  readonly signal?: AbortSignal | undefined
}

const NAME = 'bootwright-guest-tools'

/** By the names of Node. */
const ARCHITECTURES: Readonly<Record<string, { readonly debian: string; readonly systemd: string }>> = {
  x64: { debian: 'amd64', systemd: 'x86-64' },
  arm64: { debian: 'arm64', systemd: 'arm64' },
}

/** What systemd-tpm, udev and systemd-container have, which stay installed: theirs steps aside for ours, and is back when ours goes. */
const DIVERTED = [
  '/usr/lib/systemd/systemd-measure',
  '/usr/lib/udev/hwdb.d/40-imds.hwdb',
  '/usr/lib/systemd/systemd-sysupdate',
  ...Object.keys({ ...SYSUPDATE_UNITS, ...SYSUPDATE_ALIASES }).map((path) => `/${path}`),
]

/**
 * Writes a package for Debian (deb(5)) with what {@link writeExtraTree} writes. It takes the place of systemd-imds, which
 * cannot be installed beside it, and diverts what packages have that also have other things.
 */
export async function writeDebianPackage(file: string, options: PackageOptions): Promise<void> {
  const { toolchain, signal } = options
  await writePackage(file, options, async (tree, made) => {
    await mkdir(join(tree, 'DEBIAN'))
    await writeFile(join(tree, 'DEBIAN/control'), control())
    for (const [script, text] of Object.entries(SCRIPTS)) {
      await writeFile(join(tree, 'DEBIAN', script), `#!/bin/sh\nset -e\n${text}`, { mode: 0o755 })
    }
    // Everybody has zstd by now, and xz needs a minute for the program.
    await run(toolchain.command(['dpkg-deb', '--root-owner-group', '-Zzstd', '--build', tree, made]), { signal })
  })
}

/** Writes a system extension (systemd-sysext(8)) for any distribution: a file system image of what {@link writeExtraTree} writes. */
export async function writeSystemExtension(file: string, options: PackageOptions): Promise<void> {
  const { toolchain, signal } = options
  const name = basename(file).replace(/\.raw$/, '')
  await writePackage(file, options, async (tree, made) => {
    const directory = join(tree, 'usr/lib/extension-release.d')
    await mkdir(directory)
    const release = { ID: '_any', ARCHITECTURE: architecture().systemd, EXTENSION_RELOAD_MANAGER: '1' }
    const lines = Object.entries(release).map(([key, value]) => `${key}=${value}\n`)
    await writeFile(join(directory, `extension-release.${name}`), lines.join(''))
    await run(toolchain.command(['mkfs.erofs', '--quiet', '--all-root', '-T0', '-zzstd', made, tree]), { signal })
  })
}

/** Makes the tree, lets `make` pack it, and gives the file its name when it is whole. */
async function writePackage(
  file: string,
  { program }: PackageOptions,
  make: (tree: string, made: string) => Promise<void>,
): Promise<void> {
  if ((await stat(file).catch(() => undefined)) !== undefined) {
    throw new BootwrightError('INVALID_ARGUMENT', `Cannot write ${file}: something is there already`, {
      hint: 'Name a file that is not there, or remove it first.',
    })
  }
  const aside = `${file}.unfinished`
  await rm(aside, { recursive: true, force: true })
  try {
    await mkdir(aside, { recursive: true })
    const [tree, made] = [join(aside, 'tree'), join(aside, 'made')]
    await writeExtraTree(tree, program)
    await make(tree, made)
    await rename(made, file)
  } finally {
    await rm(aside, { recursive: true, force: true })
  }
}

function control(): string {
  const fields = {
    Package: NAME,
    Version: `262+bootwright${manifest.version}`,
    Architecture: architecture().debian,
    Maintainer: 'Bootwright <bootwright@localhost>',
    Section: 'admin',
    Priority: 'optional',
    Depends: 'libc6, libstdc++6, libatomic1, systemd',
    // For systemd-sysupdate: signatures of manifests, and what is compressed with xz.
    Recommends: 'gpg, xz-utils',
    Provides: 'systemd-imds (= 262)',
    Conflicts: 'systemd-imds',
    Replaces: 'systemd-imds',
    Description:
      'stand-ins for programs of systemd 262\n The broker of cloud metadata, systemd-measure and systemd-sysupdate.',
  }
  return Object.entries(fields)
    .map(([name, value]) => `${name}: ${value}\n`)
    .join('')
}

function divert(action: string): string {
  return DIVERTED.map(
    (path) => `dpkg-divert --package ${NAME} --rename --divert ${path}.distrib ${action} ${path}\n`,
  ).join('')
}

/** deb-preinst(5) and so on. */
const SCRIPTS = {
  preinst: divert('--add'),
  postinst: `if [ "$1" = configure ]; then
  systemd-sysusers systemd-imds.conf
  if command -v systemd-hwdb >/dev/null; then systemd-hwdb --usr update; fi
  if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
fi
`,
  prerm: `if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
  systemctl stop systemd-imdsd.socket systemd-imdsd.service systemd-imds-metrics.socket
  # Where the original comes back, it goes on with them.
  if [ ! -e /usr/lib/systemd/systemd-sysupdate.distrib ]; then
    systemctl stop systemd-sysupdate.socket systemd-sysupdate-update.timer systemd-sysupdate-reboot.timer
  fi
fi
`,
  postrm: `if [ "$1" = remove ] || [ "$1" = abort-install ]; then
${divert('--remove')}  if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
fi
`,
}

function architecture(): { readonly debian: string; readonly systemd: string } {
  const known = ARCHITECTURES[process.arch]
  if (known !== undefined) return known
  throw new BootwrightError('HOST_UNSUITABLE', `There are no packages for ${process.arch}`, {
    hint: `They are made on ${Object.keys(ARCHITECTURES).join(' and ')}; use --extra-tree here.`,
  })
}
