import { BootwrightError } from '../system/index.ts'

/** One network interface as a metadata service describes it. */
export interface NetworkInterface {
  /** Lower case with colons; the machine's NIC must have the same. */
  readonly mac: string
  readonly ipv4: string
  /** CIDR of the subnet of `ipv4`. */
  readonly ipv4Subnet: string
  /** The address that the cloud translates to `ipv4`; `ipv4` itself where it translates nothing. */
  readonly publicIpv4: string | undefined
  readonly ipv6: readonly string[]
  readonly ipv6Subnet: string | undefined
}

export interface SshKey {
  readonly name: string
  /** One line of an authorized_keys file. */
  readonly openssh: string
}

/** What every cloud knows about an instance. Providers extend it with what only they know. */
export interface Instance {
  /** Name of the provider whose instance it is. */
  readonly cloud: string
  readonly id: string
  /** The provider's word for the size of the machine, e.g. `m5.large`. */
  readonly type: string
  readonly image: string
  /** As the provider reports it, usually a full domain name. */
  readonly hostname: string
  readonly region: string
  readonly zone: string
  /** The first is the primary one. */
  readonly interfaces: readonly [NetworkInterface, ...NetworkInterface[]]
  readonly sshKeys: readonly SshKey[]
  readonly tags: Readonly<Record<string, string>>
  /** Any bytes; undefined when the instance was started without. */
  readonly userData: Uint8Array | undefined
  /** Milliseconds since 1970. */
  readonly startedAtMs: number
}

/** What a caller wants different; in the making of an instance, everything derived follows from it. */
export type Overrides<I extends Instance> = { readonly [K in Exclude<keyof I, 'cloud'>]?: I[K] }

/** An instance that can change while its metadata is served. Each state is a value; changes replace it. */
export class LiveInstance<I extends Instance> {
  #current: I
  readonly #waiters = new Set<() => void>()

  constructor(initial: I) {
    this.#current = initial
  }

  get current(): I {
    return this.#current
  }

  /** Replaces some fields. Derived ones (a hostname made of an address) stay as they are, as on real clouds. */
  update(change: Overrides<I>): void {
    this.replace({ ...this.#current, ...change })
  }

  /** Puts another state of the same cloud in place and wakes those who wait for a change. */
  replace(next: I): void {
    if (next.cloud !== this.#current.cloud) {
      throw new BootwrightError(
        'INVALID_ARGUMENT',
        `An instance of ${this.#current.cloud} cannot become one of ${next.cloud}`,
        { hint: 'Start another metadata service for the other cloud.' },
      )
    }
    this.#current = next
    const waiters = [...this.#waiters]
    this.#waiters.clear()
    for (const wake of waiters) wake()
  }

  /** Resolves at the next change; also, without one, when the signal aborts. */
  changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiters.delete(done)
        signal.removeEventListener('abort', done)
        resolve()
      }
      if (signal.aborted) return done()
      this.#waiters.add(done)
      signal.addEventListener('abort', done, { once: true })
    })
  }
}
