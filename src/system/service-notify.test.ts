import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { run } from './process.ts'
import { notifyService } from './service-notify.ts'

/** Reads one datagram from a socket of this name. */
const RECEIVER = `
use Socket; socket(my $s, PF_UNIX, SOCK_DGRAM, 0) or die; bind($s, pack_sockaddr_un($ARGV[0])) or die;
$| = 1; print "ready\\n"; recv($s, my $text, 4096, 0); print $text, "\\n"`

it.for(['path', 'abstract name'])('notifyService() reaches a socket by its %s', async (kind) => {
  const directory = mkdtempSync(join(tmpdir(), 'bootwright-service-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'socket')
  const [name, shown] = kind === 'path' ? [path, path] : [`\0${path}`, `@${path}`]
  // An argument cannot hold the NUL that an abstract name begins with.
  const receiver = RECEIVER.replace('$ARGV[0]', name === path ? '$ARGV[0]' : '"\\0" . $ARGV[0]')
  const lines: string[] = []
  const child = run(
    { argv: ['perl', '-e', receiver, path] },
    {
      onLine: (line) => {
        lines.push(line)
        if (line === 'ready') notifyService(shown, ['READY=1', 'STATUS=here'])
      },
    },
  )
  await child
  await expect.poll(() => lines).toEqual(['ready', 'READY=1', 'STATUS=here'])
})

it('notifyService() tells nobody where nobody listens, and says when the listener is gone', () => {
  for (const socket of [undefined, '', 'relative', `/${'x'.repeat(200)}`]) notifyService(socket, ['READY=1'])
  expect(() => notifyService('/no/such/socket', ['READY=1'])).toThrow('ENOENT')
})
