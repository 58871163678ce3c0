import type { ToolsDistribution } from './distribution.ts'
import { SHAPING_PACKAGES, TOOLS_PACKAGES } from './tools-packages.ts'

/** What a tools tree consists of on one distribution. */
export interface ToolsRecipe {
  /** Beyond what mkosi's own definition of a tools tree brings. */
  readonly packages: readonly string[]
  /** Packages whose versions shape a result, by the name used in `build.json` and in reports. */
  readonly shaping: Readonly<Record<string, string>>
  /** How a user installs mkosi itself, where it is not fetched. */
  readonly installMkosi?: string
}

/** The recipes. The reasons for the packages stand with Debian's. */
export const TOOLS_RECIPES: Readonly<Record<ToolsDistribution, ToolsRecipe>> = {
  debian: {
    packages: Object.keys(TOOLS_PACKAGES).sort(),
    shaping: SHAPING_PACKAGES,
  },
  fedora: {
    // systemd-udev has repart, measure and bootctl; the apt of Fedora builds the Debian images.
    packages: [
      ...['qemu-kvm-core', 'qemu-img', 'edk2-ovmf', 'virt-firmware', 'swtpm', 'swtpm-tools', 'virtiofsd'],
      ...['systemd-journal-remote', 'kexec-tools'],
      ...['dnsmasq', 'iproute', 'procps-ng', 'util-linux'],
      ...[
        'apt',
        'debian-keyring',
        'dpkg',
        'systemd-udev',
        'systemd-ukify',
        'systemd-boot-unsigned',
        'systemd-container',
      ],
      ...['kmod', 'cpio', 'zstd', 'xz', 'dosfstools', 'mtools', 'e2fsprogs', 'erofs-utils', 'squashfs-tools', 'gdisk'],
      ...['tpm2-tools', 'sbsigntools', 'openssl', 'gnupg2'],
    ].sort(),
    shaping: {
      qemu: 'qemu-kvm-core',
      ovmf: 'edk2-ovmf',
      swtpm: 'swtpm',
      systemd: 'systemd',
      'systemd-boot': 'systemd-boot-unsigned',
      ukify: 'systemd-ukify',
      apt: 'apt',
      dosfstools: 'dosfstools',
      mtools: 'mtools',
      e2fsprogs: 'e2fsprogs',
      'erofs-utils': 'erofs-utils',
      'squashfs-tools': 'squashfs-tools',
      'tpm2-tools': 'tpm2-tools',
      sbsigntool: 'sbsigntools',
      openssl: 'openssl',
      dnsmasq: 'dnsmasq',
      virtiofsd: 'virtiofsd',
    },
    installMkosi: 'dnf install mkosi',
  },
  arch: {
    // The package systemd has repart, measure, bootctl and the stub; the one of swtpm has swtpm_setup.
    packages: [
      ...['qemu-base', 'qemu-img', 'edk2-ovmf', 'virt-firmware', 'swtpm', 'virtiofsd', 'kexec-tools'],
      ...['dnsmasq', 'iproute2', 'procps-ng', 'util-linux'],
      ...['apt', 'debian-archive-keyring', 'dpkg', 'systemd', 'systemd-ukify'],
      ...[
        'kmod',
        'cpio',
        'zstd',
        'xz',
        'dosfstools',
        'mtools',
        'e2fsprogs',
        'erofs-utils',
        'squashfs-tools',
        'gptfdisk',
      ],
      ...['tpm2-tools', 'sbsigntools', 'openssl', 'gnupg'],
    ].sort(),
    shaping: {
      qemu: 'qemu-base',
      ovmf: 'edk2-ovmf',
      swtpm: 'swtpm',
      systemd: 'systemd',
      'systemd-boot': 'systemd',
      ukify: 'systemd-ukify',
      apt: 'apt',
      dosfstools: 'dosfstools',
      mtools: 'mtools',
      e2fsprogs: 'e2fsprogs',
      'erofs-utils': 'erofs-utils',
      'squashfs-tools': 'squashfs-tools',
      'tpm2-tools': 'tpm2-tools',
      sbsigntool: 'sbsigntools',
      openssl: 'openssl',
      dnsmasq: 'dnsmasq',
      virtiofsd: 'virtiofsd',
    },
    installMkosi: 'pacman -S mkosi',
  },
}
