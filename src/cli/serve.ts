import { once } from 'node:events'
import { Command } from 'commander'
import { parseServeFault, type ServeFaultRule, serveDirectory } from '../release/index.ts'
import { wholeNumber } from './whole-number.ts'

interface ServeCommandOptions {
  readonly host: string
  readonly port: number
  readonly fault: readonly ServeFaultRule[]
  readonly json: boolean
}

export function serveCommand(signal: AbortSignal): Command {
  return new Command('serve')
    .summary('serve a directory of releases over HTTP, with ranges and tags, and badly on request')
    .argument('<directory>', 'what is served; nothing outside of it is')
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <number>', 'a free one without', wholeNumber('--port', 0, 65_535), 0)
    .option(
      '--fault <rule>',
      'PATH FAULT [times N], repeatable: "/*.raw truncate 1000 times 2", stall, slow, status, redirect, endless, corrupt',
      (text: string, rules: readonly ServeFaultRule[]) => [...rules, parseServeFault(text)],
      [],
    )
    .option('--json', 'print the address and each request as one line of JSON', false)
    .action(async (directory: string, options: ServeCommandOptions) => {
      await using server = await serveDirectory(directory, {
        host: options.host,
        port: options.port,
        faults: options.fault,
        onRequest: (request) => {
          const { method, path, range, status, fault } = request
          const words = [status, method, JSON.stringify(path), range ?? '', fault === undefined ? '' : `(${fault})`]
          process.stdout.write(`${options.json ? JSON.stringify(request) : words.filter(Boolean).join(' ')}\n`)
        },
      })
      process.stdout.write(options.json ? `${JSON.stringify({ schema: 1, url: server.url })}\n` : `${server.url}\n`)
      // Ctrl-C is how one ends it, and no failure.
      if (!signal.aborted) await once(signal, 'abort')
    })
}
