/** A program that a host must have when its own tools are to be used. */
export interface HostTool {
  readonly name: string
  /** Prints its version and succeeds. */
  readonly argv: readonly string[]
  /** Undefined where any version does. */
  readonly oldest?: readonly number[]
  /** The package that has it on Debian. */
  readonly package: string
  /** The package on distributions where it has another name, by `ID` of os-release(5). */
  readonly elsewhere?: Readonly<Record<string, string>>
}

/** What is needed to build images, to boot them, and to watch them. */
export const HOST_TOOLS: readonly HostTool[] = [
  {
    name: 'qemu',
    argv: ['qemu-system-x86_64', '--version'],
    oldest: [9],
    package: 'qemu-system-x86',
    elsewhere: { fedora: 'qemu-kvm-core', arch: 'qemu-base', opensuse: 'qemu-headless' },
  },
  {
    name: 'qemu-img',
    argv: ['qemu-img', '--version'],
    oldest: [9],
    package: 'qemu-utils',
    elsewhere: { fedora: 'qemu-img', arch: 'qemu-img', opensuse: 'qemu-tools' },
  },
  { name: 'swtpm', argv: ['swtpm', '--version'], oldest: [0, 8], package: 'swtpm' },
  {
    name: 'swtpm_setup',
    argv: ['swtpm_setup', '--version'],
    oldest: [0, 8],
    package: 'swtpm-tools',
    elsewhere: { arch: 'swtpm', opensuse: 'swtpm' },
  },
  {
    name: 'systemd',
    argv: ['systemd-repart', '--version'],
    oldest: [257],
    package: 'systemd-repart',
    elsewhere: { fedora: 'systemd-udev', arch: 'systemd', opensuse: 'systemd-experimental' },
  },
  { name: 'ukify', argv: ['ukify', '--version'], oldest: [257], package: 'systemd-ukify' },
  {
    name: 'bootctl',
    argv: ['bootctl', '--version'],
    oldest: [257],
    package: 'systemd-boot-tools',
    elsewhere: { fedora: 'systemd-udev', arch: 'systemd', opensuse: 'udev' },
  },
  {
    name: 'systemd-hwdb',
    argv: ['systemd-hwdb', '--version'],
    package: 'udev',
    elsewhere: { fedora: 'systemd-udev', arch: 'systemd' },
  },
  { name: 'apt', argv: ['apt-get', '--version'], package: 'apt' },
  { name: 'dpkg', argv: ['dpkg', '--version'], package: 'dpkg' },
  { name: 'kmod', argv: ['kmod', '--version'], package: 'kmod' },
  { name: 'cpio', argv: ['cpio', '--version'], package: 'cpio' },
  { name: 'zstd', argv: ['zstd', '--version'], package: 'zstd' },
  { name: 'e2fsprogs', argv: ['mkfs.ext4', '-V'], package: 'e2fsprogs' },
  { name: 'dosfstools', argv: ['mkfs.fat', '--help'], package: 'dosfstools' },
  {
    name: 'dnsmasq',
    argv: ['dnsmasq', '--version'],
    package: 'dnsmasq-base',
    elsewhere: { fedora: 'dnsmasq', arch: 'dnsmasq', opensuse: 'dnsmasq' },
  },
  { name: 'ip', argv: ['ip', '-V'], package: 'iproute2', elsewhere: { fedora: 'iproute' } },
  { name: 'mtools', argv: ['mcopy', '--version'], package: 'mtools' },
  {
    name: 'tpm2-tools',
    argv: ['tpm2_pcrread', '--version'],
    package: 'tpm2-tools',
    elsewhere: { opensuse: 'tpm2.0-tools' },
  },
  { name: 'openssl', argv: ['openssl', 'version'], package: 'openssl' },
]

/** The name of a tool's package on the distribution with these ids (see `OsRelease`). */
export function packageOf(tool: Pick<HostTool, 'package' | 'elsewhere'>, ids: readonly string[]): string {
  for (const id of ids) {
    const name = tool.elsewhere?.[id.startsWith('opensuse') ? 'opensuse' : id]
    if (name !== undefined) return name
  }
  return tool.package
}
