import { createHash } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { BootwrightError, runUnchecked } from '../system/index.ts'
import type { Cache } from './cache.ts'
import { hostMkosi, OLDEST_MKOSI } from './mkosi.ts'
import { isAtLeast } from './python.ts'
import type { Toolchain } from './toolchain.ts'
import { packageCache } from './tools-tree.ts'

interface HostTool {
  readonly name: string
  readonly argv: readonly string[]
  /** Undefined where any version does. */
  readonly oldest?: readonly number[]
  /** The package that has it on Debian. */
  readonly debianPackage: string
}

/** What must be on a host whose own tools are to be used, and how old it may be. */
const HOST_TOOLS: readonly HostTool[] = [
  { name: 'qemu', argv: ['qemu-system-x86_64', '--version'], oldest: [9], debianPackage: 'qemu-system-x86' },
  { name: 'qemu-img', argv: ['qemu-img', '--version'], oldest: [9], debianPackage: 'qemu-utils' },
  { name: 'swtpm', argv: ['swtpm', '--version'], oldest: [0, 8], debianPackage: 'swtpm' },
  { name: 'swtpm_setup', argv: ['swtpm_setup', '--version'], oldest: [0, 8], debianPackage: 'swtpm-tools' },
  { name: 'systemd', argv: ['systemd-repart', '--version'], oldest: [257], debianPackage: 'systemd-repart' },
  { name: 'ukify', argv: ['ukify', '--version'], oldest: [257], debianPackage: 'systemd-ukify' },
  { name: 'dnsmasq', argv: ['dnsmasq', '--version'], debianPackage: 'dnsmasq-base' },
  { name: 'ip', argv: ['ip', '-V'], debianPackage: 'iproute2' },
  { name: 'mtools', argv: ['mcopy', '--version'], debianPackage: 'mtools' },
  { name: 'tpm2-tools', argv: ['tpm2_pcrread', '--version'], debianPackage: 'tpm2-tools' },
  { name: 'openssl', argv: ['openssl', 'version'], debianPackage: 'openssl' },
]

/** The host's own tools; rejects with `TOOL_MISSING` naming all that are missing or too old. */
export async function hostToolchain(cache: Cache, sandboxTree: string | undefined): Promise<Toolchain> {
  const versions: Record<string, string> = {}
  const complaints: string[] = []
  const packages: string[] = []
  for (const tool of HOST_TOOLS) {
    const version = await toolVersion(tool.argv)
    if (version !== undefined && (tool.oldest === undefined || isAtLeast(version, tool.oldest))) {
      versions[tool.name] = version
      continue
    }
    const wanted = tool.oldest === undefined ? tool.name : `${tool.name} ${tool.oldest.join('.')} or newer`
    complaints.push(`${wanted} (found ${version ?? 'none'})`)
    packages.push(tool.debianPackage)
  }
  const mkosi = await hostMkosi(cache)
  if (mkosi === undefined) {
    complaints.push(`mkosi ${OLDEST_MKOSI} or newer`)
    packages.push('mkosi')
  }
  if (mkosi === undefined || complaints.length > 0) {
    throw new BootwrightError('TOOL_MISSING', `The tools of this host do not do; needed: ${complaints.join(', ')}`, {
      hint: `Use the managed tools (--toolchain managed), or install newer versions of: ${packages.join(' ')}.`,
    })
  }
  versions.mkosi = mkosi.version
  const packageDirectory = packageCache(cache)
  await mkdir(packageDirectory, { recursive: true })
  const mkosiArguments = [
    `--package-cache-directory=${packageDirectory}`,
    ...(sandboxTree === undefined ? [] : [`--sandbox-tree=${sandboxTree}`]),
  ]
  return {
    kind: 'host',
    identity: createHash('sha256')
      .update(JSON.stringify(Object.entries(versions).sort()))
      .digest('hex')
      .slice(0, 16),
    root: '/',
    command: (argv, options = {}) => ({ ...options, argv }),
    mkosi: (args, options = {}) => mkosi.command([...mkosiArguments, ...args], options),
    sandboxTree,
    versions,
  }
}

/** The first version number in what a program says of itself, or undefined when it does not start. */
async function toolVersion(argv: readonly string[]): Promise<string | undefined> {
  try {
    const result = await runUnchecked({ argv })
    if (result.exitCode !== 0) return undefined
    return /\d+(?:\.\d+)+|\d+/.exec(`${result.stdout}${result.stderr}`)?.[0]
  } catch {
    return undefined
  }
}
