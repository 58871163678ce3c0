import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import type { Server } from 'node:net'
import { join } from 'node:path'
import { BootwrightError, Namespace, type RunResult } from '../system/index.ts'
import type { Toolchain } from '../toolchain/index.ts'

const BRIDGE = 'bw0'
const IPV4_PREFIX = '10.77.0'
/** What DHCP hands out addresses of. */
export const IPV4_SUBNET = `${IPV4_PREFIX}.0/24`
const IPV6_PREFIX = 'fd77:b007'
/** The same in every network: a machine that goes on elsewhere finds its gateway where it was. */
const BRIDGE_MAC = '52:54:00:b0:07:00'

/** A machine of the network that DHCP and DNS know. */
export interface NetworkHost {
  readonly macAddress: string
  readonly ipv4: string
  readonly name?: string
}

export interface NetworkOptions {
  readonly signal?: AbortSignal | undefined
  /** Directory for dnsmasq's log and leases. */
  readonly directory: string
  /** Addresses that the host side has besides its own: those of a cloud's metadata service. */
  readonly addresses: readonly string[]
  /** Names that DNS knows, with their addresses. */
  readonly names: Readonly<Record<string, readonly string[]>>
  /** What DHCP says besides address, gateway and DNS; nothing without. */
  readonly dhcp?: {
    /** By number; a value of dotted quads goes out as addresses. */
    readonly options: readonly { readonly code: number; readonly value: string }[]
    /** IPv4 addresses that get a route of their own to the gateway (RFC 3442). */
    readonly hostRoutes: readonly string[]
    /** The gateway, where it is not the bridge's own address: one more of the bridge. */
    readonly router?: string
  }
  /** What DHCP hands out to a card besides the rest of the pool. */
  readonly hosts: readonly NetworkHost[]
}

/** A card's address for the n-th machine of a network, from 0. */
export function hostMacAddress(index: number): string {
  return `52:54:00:b0:07:${(index + 1).toString(16).padStart(2, '0')}`
}

/** IPv4 addresses that a machine may be given by {@link NetworkOptions.hosts}. */
export function hostAddress(index: number): string {
  return `${IPV4_PREFIX}.${10 + index}`
}

/**
 * A network of a run: a bridge with DHCP, DNS and router advertisements in a namespace of its own, from which no packet
 * leaves. The gateway is the bridge, and metadata addresses are on it.
 */
export class PrivateNetwork implements AsyncDisposable {
  readonly namespace: Namespace
  readonly #directory: string
  #taps = 0

  private constructor(namespace: Namespace, directory: string) {
    this.namespace = namespace
    this.#directory = directory
  }

  /** Makes the network, with DHCP and DNS that answer; rejects with `NAMESPACE_DENIED` or `HOST_UNSUITABLE` where the host does not let us. */
  static async open(toolchain: Toolchain, options: NetworkOptions): Promise<PrivateNetwork> {
    await using scope = new AsyncDisposableStack()
    const namespace = scope.use(await Namespace.open({ signal: options.signal, tools: toolchain }))
    await ip(namespace, [
      'link set lo up',
      `link add ${BRIDGE} address ${BRIDGE_MAC} type bridge stp_state 0 forward_delay 0`,
      `address add ${IPV4_PREFIX}.1/24 dev ${BRIDGE}`,
      `address add ${IPV6_PREFIX}::1/64 dev ${BRIDGE} nodad`,
      ...[...options.addresses, ...(options.dhcp?.router === undefined ? [] : [options.dhcp.router])].map((address) =>
        address.includes(':')
          ? `address add ${address}/${isLinkLocal(address) ? 64 : 128} dev ${BRIDGE} nodad`
          : `address add ${address}/32 dev ${BRIDGE}`,
      ),
      `link set ${BRIDGE} up`,
      // Who has no address yet takes a link-local one (RFC 3927).
      `route add 169.254.0.0/16 dev ${BRIDGE}`,
    ])
    for (const name of Object.values(HOST_DIRECTORIES)) await mkdir(join(options.directory, name), { recursive: true })
    for (const host of options.hosts) await writeHost(options.directory, host)
    const dnsmasq = await namespace.run(namespace.tool(['dnsmasq', ...dnsmasqArguments(options)]), {
      signal: options.signal,
    })
    if (dnsmasq.exitCode !== 0) {
      throw new BootwrightError('HELPER_EXITED', `dnsmasq did not start: ${dnsmasq.stderr.trim()}`, {
        hint: 'Run `./bootwright doctor` to see what the host lacks.',
      })
    }
    scope.move()
    return new PrivateNetwork(namespace, options.directory)
  }

  /** Adds a port for a machine; rejects with `HOST_UNSUITABLE` when the host has no usable tun device. */
  async addTap(): Promise<string> {
    const name = `tap${this.#taps++}`
    await ip(this.namespace, [`tuntap add dev ${name} mode tap`, `link set ${name} master ${BRIDGE} up`])
    return name
  }

  /** From now on a card gets this address, and its machine has this name. */
  addHost(host: NetworkHost): Promise<void> {
    return writeHost(this.#directory, host)
  }

  /** A TCP socket on one of the network's addresses, served by this process. */
  listen(address: string, port: number): Promise<Server> {
    return this.namespace.listen(isLinkLocal(address) ? `${address}%${BRIDGE}` : address, port)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.namespace[Symbol.asyncDispose]()
    for (const name of Object.values(HOST_DIRECTORIES)) {
      await rm(join(this.#directory, name), { recursive: true, force: true })
    }
  }
}

/** dnsmasq reads what appears in them by itself. */
const HOST_DIRECTORIES = { addresses: 'dhcp-hosts', names: 'hosts' } as const

async function writeHost(directory: string, { macAddress, ipv4, name }: NetworkHost): Promise<void> {
  const file = macAddress.replaceAll(':', '-')
  const write = async (kind: keyof typeof HOST_DIRECTORIES, line: string): Promise<void> => {
    const path = join(directory, HOST_DIRECTORIES[kind], file)
    // Beside it, and of a name that dnsmasq passes over: it must never see half a line.
    const aside = join(directory, HOST_DIRECTORIES[kind], `.${file}`)
    await writeFile(aside, `${line}\n`)
    await rename(aside, path)
  }
  await write('addresses', [macAddress, ipv4, ...(name === undefined ? [] : [name])].join(','))
  if (name !== undefined) await write('names', `${ipv4} ${name}`)
}

/** It goes into the background by itself when its sockets are open, and ends with the namespace. */
// biome-ignore format: one option a line
function dnsmasqArguments(options: NetworkOptions): string[] {
  return [
    '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--pid-file=', '--user=root', '--group=',
    `--interface=${BRIDGE}`, '--bind-interfaces', '--except-interface=lo',
    `--dhcp-range=${IPV4_PREFIX}.100,${IPV4_PREFIX}.199,255.255.255.0,12h`,
    `--dhcp-range=${IPV6_PREFIX}::100,${IPV6_PREFIX}::1ff,slaac,64,12h`,
    '--enable-ra', '--dhcp-authoritative', '--dhcp-rapid-commit', '--no-ping',
    `--dhcp-leasefile=${join(options.directory, 'dhcp.leases')}`,
    `--log-facility=${join(options.directory, 'dnsmasq.log')}`, '--log-dhcp', '--log-queries',
    // Nothing is forwarded anywhere: a name that is not here does not exist.
    '--address=/#/',
    ...dhcpOptions(options.dhcp),
    ...Object.entries(options.names).flatMap(([name, addresses]) =>
      addresses.map((address) => `--address=/${name}/${address}`)),
    `--dhcp-hostsdir=${join(options.directory, HOST_DIRECTORIES.addresses)}`,
    `--hostsdir=${join(options.directory, HOST_DIRECTORIES.names)}`,
  ]
}

/** A client that gets routes with option 121 leaves the gateway of option 3 alone (RFC 3442), so the default is among them. */
function dhcpOptions(dhcp: NonNullable<NetworkOptions['dhcp']> = { options: [], hostRoutes: [] }) {
  const { options, hostRoutes, router } = dhcp
  const gateway = router ?? `${IPV4_PREFIX}.1`
  const routes = [...hostRoutes.map((address) => `${address}/32`), '0.0.0.0/0'].map((to) => `${to},${gateway}`)
  return [
    ...(router === undefined ? [] : [`--dhcp-option=option:router,${router}`]),
    ...(hostRoutes.length > 0 ? [`--dhcp-option=option:classless-static-route,${routes.join(',')}`] : []),
    ...options.map(({ code, value }) => `--dhcp-option-force=${code},${value}`),
  ]
}

/** fe80::/10 */
function isLinkLocal(address: string): boolean {
  return /^fe[89ab][0-9a-f]:/i.test(address)
}

async function ip(namespace: Namespace, lines: readonly string[]): Promise<void> {
  const result: RunResult = await namespace.run(namespace.tool(['ip', '-batch', '-']), {
    input: `${lines.join('\n')}\n`,
  })
  if (result.exitCode === 0) return
  const said = result.stderr.trim()
  const isTun = /tun|tap/i.test(lines.join())
  throw new BootwrightError('HOST_UNSUITABLE', `Cannot set up the private network: ${said}`, {
    hint: isTun
      ? 'Machines need /dev/net/tun, readable and writable for you: `modprobe tun`, and mode 0666 as udev gives it.'
      : 'Run `./bootwright doctor` to see what the kernel lacks.',
  })
}
