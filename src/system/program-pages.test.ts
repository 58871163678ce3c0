import { describe, expect, it } from 'vitest'
import { run } from './process.ts'
import { unwrittenMappings } from './program-pages.ts'

const SMAPS = `00400000-00a00000 r--p 00000000 fd:00 12                         /usr/bin/program
Size:               6144 kB
Anonymous:             0 kB
VmFlags: rd mr mw me sd
00a00000-02000000 r-xp 00600000 fd:00 12                         /usr/bin/program
Rss:               20480 kB
Anonymous:             0 kB
02000000-02100000 r--p 01c00000 fd:00 12                         /usr/bin/program
Anonymous:            24 kB
02100000-02200000 rw-p 01d00000 fd:00 12                         /usr/bin/program
Anonymous:             0 kB
7f0000000000-7f0000100000 r-xp 00000000 fd:00 13                 /usr/lib/library.so
Anonymous:             0 kB
7f0000100000-7f0000200000 rw-p 00000000 00:00 0
Anonymous:             0 kB
`

describe('unwrittenMappings()', () => {
  it('finds what the file has, too, and nothing that was or can be written to', () => {
    expect(unwrittenMappings(SMAPS, '/usr/bin/program')).toEqual([
      { start: 0x400000n, length: 0x600000n },
      { start: 0xa00000n, length: 0x1600000n },
    ])
  })
})

describe('releaseProgramPages()', () => {
  it('leaves a program that needs less, and goes on', async () => {
    const script = `
      import { readFileSync } from 'node:fs'
      import { releaseProgramPages } from ${JSON.stringify(new URL('./program-pages.ts', import.meta.url).href)}
      const fileKib = () => Number(/^RssFile:\\s+(\\d+)/m.exec(readFileSync('/proc/self/status', 'latin1'))[1])
      const before = fileKib()
      releaseProgramPages()
      const after = fileKib()
      console.log(before - after > 20_000, [3, 1, 2].sort().join(), /(\\d+)-/.exec('12-')[1], JSON.stringify({ a: 1n.toString() }))`
    const { stdout } = await run({ argv: [process.execPath, '--input-type=module', '--eval', script] })
    expect(stdout).toBe('true 1,2,3 12 {"a":"1"}\n')
  })
})
