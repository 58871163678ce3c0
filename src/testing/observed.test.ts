import { describe, expect, it } from 'vitest'
import { CallLog } from './call-log.ts'
import { observed } from './observed.ts'

/** Private fields, getters and groups, as a machine has them. */
class Thing {
  #count = 0
  readonly tpm = { readPcrs: async (bank: string) => `pcrs of ${bank}` }
  get count(): number {
    return this.#count
  }
  async run(argv: readonly string[]): Promise<string> {
    this.#count++
    if (argv[0] === 'false') throw new Error('status 1')
    return argv.join()
  }
  async cutPower(): Promise<object> {
    return { restart: () => undefined, directory: '/d' }
  }
  sendKey(key: string): void {
    if (key === '') throw new Error('no key')
  }
}

function watched() {
  const log = new CallLog()
  const events: string[] = []
  const becomes = (state: object) => {
    events.push('becomes')
    return { face: state }
  }
  const answered = () => void events.push('answered')
  const leave = async () => void events.push('leave')
  return { log, events, thing: observed(new Thing(), { log, becomes, answered, leave, extras: { cloud: 'aws' } }) }
}

describe('observed()', () => {
  it('writes down each verb, and changes nothing about it', async () => {
    const { log, thing } = watched()
    expect(await thing.run(['echo', 'x'])).toBe('echo,x')
    await expect(thing.run(['false'])).rejects.toThrow('status 1')
    expect(await thing.tpm.readPcrs('sha1')).toBe('pcrs of sha1')
    expect(() => thing.sendKey('')).toThrow('no key')
    expect(thing.count).toBe(2)
    expect(Reflect.get(thing, 'cloud')).toBe('aws')
    expect(log.lines().map((line) => line.replace(/^ *\d+ ms/, '').trim())).toEqual([
      'run           echo x  ok',
      'run           false  failed: status 1',
      'tpm.readPcrs  sha1  ok',
      'sendKey       failed: no key',
    ])
  })

  it('knows when the guest itself has answered, and when the machine has become another', async () => {
    const { events, thing } = watched()
    thing.sendKey('a')
    expect(events).toEqual([])
    await thing.run(['true'])
    expect(await thing.cutPower()).toHaveProperty('face.directory', '/d')
    expect(events).toEqual(['answered', 'becomes'])
  })

  it('only leaves when the scope does', async () => {
    const { events, thing } = watched()
    {
      await using _used = thing as unknown as AsyncDisposable
    }
    expect(events).toEqual(['leave'])
  })
})
