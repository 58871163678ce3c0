/**
 * A service that has one method of each kind. As a program it serves what the service manager passes to it; a message on
 * standard output tells that it does.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { openPassed, passedDescriptors } from './activation.ts'
import { VarlinkErrorReply } from './error-reply.ts'
import { parseInterface } from './idl/parse.ts'
import { serveConnection } from './serve-connection.ts'
import { serveVarlink } from './server.ts'
import { varlinkService } from './service.ts'

export const ECHO = parseInterface(`# Says what it is told
interface org.example.echo

type Mood(
	glad,
	sad
)

type Nested(
	mood: Mood,
	numbers: ?[]int,
	by_name: ?[string](word: string)
)

# The same again
method Echo(
	text: ?string,
	number: ?int,
	nested: ?Nested
) -> (
	text: ?string,
	number: ?int,
	nested: ?Nested
)

# So many replies, each of so many bytes
method Count(to: int, bytes: ?int) -> (number: int, filling: ?string)

method Wait(ms: int) -> ()

method Fail() -> ()

method Break() -> ()

method Lie() -> (number: int)

# More than its caller wants
method Babble() -> ()

method Missing() -> ()

method Peer() -> (uid: ?int)

# What follows comes back in capitals
method Shout() -> ()

error Refused(why: string)
`)

/** What its methods have done, for those who cannot be answered. */
export const heard: string[] = []

export const echoService = varlinkService(
  { vendor: 'Bootwright', product: 'echo', version: '1', url: 'https://example.org/' },
  [
    {
      description: ECHO,
      streams: ['Count'],
      methods: {
        Echo: ({ parameters }) => {
          if (typeof parameters.text === 'string') heard.push(parameters.text)
          return parameters
        },
        Count: async ({ parameters, send }) => {
          const filling = 'x'.repeat(Number(parameters.bytes ?? 0))
          for (let number = 1; number < Number(parameters.to); number++) await send({ number, filling })
          return { number: Number(parameters.to) }
        },
        Wait: async ({ parameters, signal }) => {
          await sleep(Number(parameters.ms), undefined, { signal })
          return {}
        },
        Fail: () => {
          throw new VarlinkErrorReply('org.example.echo.Refused', { why: 'it is its nature' })
        },
        Break: () => {
          throw new TypeError('oh')
        },
        Babble: async ({ send }) => {
          await send({})
          return {}
        },
        Lie: () => ({ number: 'one' }),
        Peer: ({ peer }) => ({ uid: peer.uid ?? null }),
        Shout: ({ takeOver }) => {
          takeOver(async (stream) => {
            for await (const chunk of stream) stream.write(String(chunk).toUpperCase())
          })
          return {}
        },
      },
    },
  ],
)

if (import.meta.main) {
  for (const descriptor of passedDescriptors(process.env, process.pid)) {
    const passed = await openPassed(descriptor)
    if ('server' in passed) await serveVarlink(echoService, passed.server)
    else void serveConnection(echoService, passed.connection)
  }
}
