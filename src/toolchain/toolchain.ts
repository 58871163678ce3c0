import type { Command } from '../system/index.ts'

/**
 * The outside programs that everything runs on: the host's own, or those of a managed tools tree.
 *
 * A command of a tools tree sees the tree's `/usr` in place of the host's, in a mount namespace of its own; every path
 * outside `/usr` stays the same, so that arguments need no translation.
 */
export interface Toolchain {
  readonly kind: 'managed' | 'host'
  /** Changes when any tool may behave differently; part of every build and snapshot identity. */
  readonly identity: string
  /** Where the `/usr` with the tools lies: `/` for the host, else the root of the tools tree. */
  readonly root: string
  /**
   * Wraps a command so that it runs with these tools. The process keeps its id and inherits descriptors as usual; its
   * PATH is the tools' own. Runs as root, in a user namespace where the caller is not root.
   */
  command(argv: readonly string[], options?: Omit<Command, 'argv'>): Command
  /** The same for a process that was started where {@link command} has led another one: nothing is mounted again. */
  inside(argv: readonly string[]): Command
  /**
   * mkosi, which brings its own sandbox and therefore is not wrapped; the arguments follow it. It is given already: the
   * tools tree, the sandbox tree with the package sources, and the package cache.
   */
  mkosi(args: readonly string[], options?: Omit<Command, 'argv'>): Command
  /** A sandbox tree with sources for Debian's archive as this host reaches it; undefined when there are none. */
  readonly sandboxTree: string | undefined
  /** Versions of the tools that shape a result, by name, for `build.json` and the report. */
  readonly versions: Readonly<Record<string, string>>
}
