import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { Server } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { BootwrightError } from './error.ts'
import { type Command, describe, type RunOptions, type RunResult, runUnchecked } from './process.ts'

/**
 * Ends with its standard input. It is process 1 of the namespace, so the kernel then ends everything else in it, and
 * the network and the mounts go with the last process. Nothing has to be cleaned up, whatever ended this program.
 */
const KEEPER = 'echo ready && exec cat >/dev/null'

/** Opens listening sockets and hands them over; runs inside the namespace, with nothing but Node itself. */
const LISTENER = `
const net = require('node:net')
const { host, port } = JSON.parse(process.argv[1])
const server = net.createServer({ pauseOnConnect: true })
const answer = (message, handle) => process.send(message, handle, () => process.exit(0))
server.once('error', (error) => answer({ error: error.message }))
server.listen({ host, port, ipv6Only: host.includes(':') }, () => answer({}, server))
`

/** Outside programs, and how a process comes to see them. */
export interface NamespaceTools {
  /** Starts a program with the tools, wherever the process is. */
  command(argv: readonly string[]): Command
  /** The same where the process sees them already. */
  inside(argv: readonly string[]): Command
}

const HOST_TOOLS: NamespaceTools = { command: (argv) => ({ argv }), inside: (argv) => ({ argv }) }

export interface NamespaceOptions {
  readonly signal?: AbortSignal | undefined
  /** What programs inside see, set up once for all of them; the host's own without. */
  readonly tools?: NamespaceTools
}

/**
 * A network, mount and process namespace of our own; for an ordinary user inside a user namespace as well.
 *
 * No packet leaves it, and no process in it outlives this program: not after success, failure, Ctrl-C or `kill -9`.
 * UNIX sockets and files are shared with the outside.
 */
export class Namespace implements AsyncDisposable {
  readonly #keeper: ChildProcess
  readonly #keeperEnded: Promise<unknown>
  readonly #pid: number
  readonly #isUser: boolean
  readonly #tools: NamespaceTools

  private constructor(
    keeper: ChildProcess,
    ended: Promise<unknown>,
    pid: number,
    isUser: boolean,
    tools: NamespaceTools,
  ) {
    this.#keeper = keeper
    this.#keeperEnded = ended
    this.#pid = pid
    this.#isUser = isUser
    this.#tools = tools
  }

  /** Makes a namespace; rejects with `NAMESPACE_DENIED` where the host does not let us. */
  static async open(options: NamespaceOptions = {}): Promise<Namespace> {
    options.signal?.throwIfAborted()
    const isUser = process.getuid?.() !== 0
    const unshare = ['--mount', '--net', '--pid', '--fork', '--kill-child=KILL', '--mount-proc']
    if (isUser) unshare.unshift('--user', '--map-root-user')
    // Its own session: Ctrl-C on the terminal is for us to handle, in order.
    const tools = options.tools ?? HOST_TOOLS
    const keeper = spawn('unshare', [...unshare, ...tools.command(['sh', '-c', KEEPER]).argv], {
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    })
    const ended = once(keeper, 'exit').catch(() => undefined)
    const errors: Buffer[] = []
    keeper.stderr.on('data', (chunk: Buffer) => errors.push(chunk))
    keeper.stdin.on('error', () => undefined)
    const isReady = await Promise.race([
      once(keeper.stdout, 'data').then(() => true),
      once(keeper, 'error').then(() => false),
      ended.then(() => false),
    ]).catch(() => false)
    const pid = isReady ? firstChild(keeper.pid) : undefined
    if (pid === undefined) {
      keeper.kill('SIGKILL')
      const reason = Buffer.concat(errors).toString().trim()
      throw new BootwrightError(
        'NAMESPACE_DENIED',
        `Cannot make a private network namespace: ${reason || 'no reason given'}`,
        {
          hint: 'Run `./bootwright doctor`: it tells whether user namespaces are switched off and how to allow them.',
        },
      )
    }
    keeper.unref()
    return new Namespace(keeper, ended, pid, isUser, tools)
  }

  /** A command with the tools of this namespace, to be started inside it. */
  tool(argv: readonly string[]): Command {
    return this.#tools.inside(argv)
  }

  /** The command, to be started inside this namespace. */
  command(command: Command): Command {
    return { ...command, argv: [...this.#enter(['--mount', '--net', '--pid']), ...command.argv] }
  }

  /** Runs a command inside to its end; the result tells its exit status. */
  run(command: Command, options: RunOptions = {}): Promise<RunResult> {
    return runUnchecked(this.command(command), options)
  }

  /**
   * Starts a program inside that is to live as long as the namespace, or until it is ended by its own means.
   *
   * Entries `'pipe'` of `stdio` above 2 are connected UNIX stream sockets, one end each side: a helper gets its sockets as
   * inherited descriptors, and no path is ever polled for.
   */
  start(command: Command, stdio: StdioOptions): NamespacedProcess {
    const inside = this.command(command)
    const [file = '', ...args] = inside.argv
    const child = spawn(file, args, {
      stdio,
      detached: true,
      cwd: command.cwd,
      env: { ...process.env, ...command.env },
    })
    return new NamespacedProcess(child, command)
  }

  /** A TCP socket that listens inside while its connections are served out here. Rejects when it cannot be bound. */
  async listen(host: string, port: number): Promise<Server> {
    // Without our mount namespace: the Node that runs us may lie below a /usr that is covered in there.
    const [file = '', ...args] = [...this.#enter(['--net']), process.execPath, '--eval', LISTENER]
    const child = spawn(file, [...args, JSON.stringify({ host, port })], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      detached: true,
    })
    const failure: string[] = []
    child.stderr?.on('data', (chunk: Buffer) => failure.push(chunk.toString()))
    const answer = await new Promise<{ error?: string; server?: Server }>((resolve) => {
      child.once('message', (message: { error?: string }, handle) =>
        resolve(message.error === undefined ? { server: handle as Server } : { error: message.error }),
      )
      child.once('error', (error) => resolve({ error: error.message }))
      child.once('close', () => resolve({ error: failure.join('').trim() || 'the listener ended' }))
    })
    if (answer.server === undefined) {
      throw new BootwrightError(
        'TOOL_FAILED',
        `Cannot listen on ${host} port ${port} in the private network: ${answer.error}`,
      )
    }
    return answer.server
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#keeper.ref()
    this.#keeper.stdin?.end()
    await this.#keeperEnded
  }

  #enter(namespaces: readonly string[]): string[] {
    const user = this.#isUser ? ['--user', '--preserve-credentials'] : []
    return ['nsenter', `--target=${this.#pid}`, ...user, ...namespaces, '--']
  }
}

/** A program that runs in a {@link Namespace}. */
export class NamespacedProcess {
  readonly child: ChildProcess
  /** Exit status or signal; never rejects. */
  readonly ended: Promise<{ exitCode: number | null; signal: NodeJS.Signals | null }>
  readonly #command: Command

  constructor(child: ChildProcess, command: Command) {
    this.child = child
    this.#command = command
    this.ended = new Promise((resolve) => {
      child.once('exit', (exitCode, signal) => resolve({ exitCode, signal }))
      child.once('error', () => resolve({ exitCode: 127, signal: null }))
    })
  }

  /** The command as one would type it, without the namespace around it. */
  get commandLine(): string {
    return describe(this.#command)
  }

  /**
   * Ends the program itself, not the `nsenter` that waits for it, and resolves when it is gone. One that is still on its
   * way in has no process to be ended yet, so this asks again until it is over.
   */
  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    let isOver = false
    while (!isOver) {
      const pid = firstChild(this.child.pid)
      try {
        if (pid !== undefined) process.kill(pid, signal)
      } catch {
        // It ended by itself in the meantime.
      }
      isOver = await Promise.race([this.ended.then(() => true), sleep(100, false, { ref: false })])
    }
  }
}

/** The first child of a process, seen from our process namespace. */
function firstChild(pid: number | undefined): number | undefined {
  if (pid === undefined) return undefined
  try {
    const child = Number.parseInt(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'), 10)
    return Number.isInteger(child) ? child : undefined
  } catch {
    return undefined
  }
}
