import { SYSTEM_DISK } from '../qemu-command.ts'
import type { Qmp } from '../qmp.ts'

/** Block filters that are put on top of each other; the first lies on what was there before. */
export interface BlockLayer {
  /** Adds its nodes over `below`, without anybody using them yet, and gives their names, the topmost last. */
  open(qmp: Qmp, below: string): Promise<readonly string[]>
}

interface OpenLayer {
  readonly layer: BlockLayer
  readonly nodes: readonly string[]
}

/**
 * The layers between a machine's disk and the device that its guest sees, changed while it runs.
 *
 * QEMU drains the device around each change: no request is lost or goes two ways.
 */
export class BlockLayers {
  readonly #qmp: Qmp
  #open: OpenLayer[] = []
  #last: Promise<unknown> = Promise.resolve()

  constructor(qmp: Qmp) {
    this.#qmp = qmp
  }

  /** Puts a layer on top; the result takes it away again. */
  async push(layer: BlockLayer): Promise<() => Promise<void>> {
    await this.#inOrder(() => this.#stack([...this.#open], [layer]))
    return () => this.#inOrder(() => this.#remove(layer))
  }

  /** Takes a layer away. Those above it are made anew, so that their counters begin again. */
  async #remove(layer: BlockLayer): Promise<void> {
    const at = this.#open.findIndex((open) => open.layer === layer)
    if (at < 0 || this.#qmp.isClosed) return
    await this.#stack(
      this.#open.slice(0, at),
      this.#open.slice(at + 1).map((open) => open.layer),
    )
  }

  /** Leaves `kept` where they are, opens `fresh` above them, and drops the rest. */
  async #stack(kept: OpenLayer[], fresh: readonly BlockLayer[]): Promise<void> {
    const opened: OpenLayer[] = []
    const top = () => [...kept, ...opened].at(-1)?.nodes.at(-1) ?? SYSTEM_DISK.node
    const dropped = this.#open.slice(kept.length)
    try {
      for (const layer of fresh) opened.push({ layer, nodes: await layer.open(this.#qmp, top()) })
      await this.#qmp.execute('qom-set', {
        path: `/machine/peripheral/${SYSTEM_DISK.device}`,
        property: 'drive',
        value: top(),
      })
    } catch (error) {
      await this.#close(opened)
      throw error
    }
    this.#open = [...kept, ...opened]
    await this.#close(dropped)
  }

  async #close(layers: readonly OpenLayer[]): Promise<void> {
    const nodes = layers.flatMap((open) => open.nodes)
    for (const node of nodes.reverse()) await this.#qmp.execute('blockdev-del', { 'node-name': node })
  }

  #inOrder<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#last.then(change)
    this.#last = result.catch(() => undefined)
    return result
  }
}

/** A node without it swallows what the guest discards. */
export const KEEPS_DISCARDS = { discard: 'unmap' } as const

let names = 0

/** A name for a block node that no other has. */
export function nodeName(kind: string): string {
  names += 1
  return `fault-${kind}-${names}`
}
