import { mkdir } from 'node:fs/promises'
import { hostAddress, hostMacAddress, type NetworkHost, PrivateNetwork } from '../machine/index.ts'
import { BootwrightError } from '../system/index.ts'
import type { Toolchain } from '../toolchain/index.ts'

/** As many cards as the network has fixed addresses for. */
const MOST = 64

/**
 * A network that machines of a test share. Each has a name that the others can resolve:
 * `boot('minimal', { network, name: 'web-1' })`.
 */
export class SharedNetwork {
  readonly #network: PrivateNetwork
  readonly #names: string[] = []

  private constructor(network: PrivateNetwork) {
    this.#network = network
  }

  static async open(
    toolchain: Toolchain,
    directory: string,
    signal: AbortSignal,
  ): Promise<{ network: SharedNetwork; owned: AsyncDisposable }> {
    await mkdir(directory, { recursive: true })
    const owned = await PrivateNetwork.open(toolchain, { directory, addresses: [], names: {}, hosts: [], signal })
    return { network: new SharedNetwork(owned), owned }
  }

  /** The private network itself, for what runs in it beside the machines. */
  get private(): PrivateNetwork {
    return this.#network
  }

  /** A place for the next machine: the same for the n-th one of every network, so that snapshots can be used again. */
  async place(name: string): Promise<Required<NetworkHost> & { index: number }> {
    if (!/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(name)) {
      throw new BootwrightError('INVALID_ARGUMENT', `Expected a host name, found ${JSON.stringify(name)}`, {
        hint: 'Small letters, digits and hyphens, at most 63.',
      })
    }
    if (this.#names.includes(name)) {
      throw new BootwrightError('INVALID_ARGUMENT', `There is a machine "${name}" in this network already`)
    }
    if (this.#names.length === MOST) {
      throw new BootwrightError('INVALID_ARGUMENT', `A network has room for ${MOST} machines`)
    }
    const index = this.#names.push(name) - 1
    const host = { macAddress: hostMacAddress(index), ipv4: hostAddress(index), name }
    await this.#network.addHost(host)
    return { ...host, index }
  }
}
