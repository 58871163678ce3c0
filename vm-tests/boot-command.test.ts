import { once } from 'node:events'
import { readdir, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { OtherProject } from './support/other-project.ts'
import { CHECKOUT } from './support/scene.ts'
import { converse, hasTerminals } from './support/terminal.ts'

const PORT = 59_017
const LEAVE = '\x01x'

let project: OtherProject

beforeAll(async () => {
  project = await OtherProject.make()
})

afterAll(() => project?.[Symbol.asyncDispose]())

/** What a VNC server says first (RFC 6143, 7.1.1). */
async function greeting(): Promise<string> {
  const client = connect(PORT, '127.0.0.1')
  const [said] = (await once(client, 'data')) as [Buffer]
  client.destroy()
  return said.toString().trim()
}

describe.skipIf(!hasTerminals)('bootwright boot (needs script(1))', () => {
  it('has the console on the terminal and the screen on a port, and keeps the state when it is left', async () => {
    const argv = [process.execPath, join(CHECKOUT, 'src/cli/main.ts'), 'boot', 'minimal']
    let screen = ''
    const { exitCode, output, unasked } = await converse(
      project,
      [...argv, '--vnc', String(PORT), '--keep'],
      [
        [
          /login: $/,
          async () => {
            screen = await greeting()
            return 'nobody\r'
          },
        ],
        // What is typed reaches the guest, which asks for the password.
        [/Password: $/, () => LEAVE],
      ],
    )
    expect(unasked, output).toBe(0)
    expect(screen).toMatch(/^RFB 003\.\d{3}$/)
    expect(exitCode).toBe(0)
    const [, kept = ''] = /its state is kept in (\S+)\./.exec(output) ?? []
    try {
      expect(await readdir(kept)).toEqual(expect.arrayContaining(['disk.qcow2', 'variables.fd', 'tpm']))
    } finally {
      if (kept !== '') await rm(kept, { recursive: true, force: true })
    }
    await expect(greeting()).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })
})
