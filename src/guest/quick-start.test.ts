import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { inAscii, withLazyBuiltins } from './quick-start.ts'

const SCRIPT = `let node_path = require("node:path");
let node_os = require("node:os");
node_os = __toESM(node_os, 1);
result.push((0, node_path.basename)("/a/b"));
function later() { return [node_os.default.EOL, node_os.EOL]; }
result.push(later);
`

describe('withLazyBuiltins()', () => {
  it('loads a module when it is first used, once, with its default', () => {
    const loaded: string[] = []
    const result: (string | (() => string[]))[] = []
    const require = (id: string) => {
      loaded.push(id)
      return process.getBuiltinModule(id)
    }
    runInNewContext(withLazyBuiltins(SCRIPT), { require, result })
    expect(result[0]).toBe('b')
    expect(loaded).toEqual(['node:path'])
    expect((result[1] as () => string[])()).toEqual(['\n', '\n'])
    expect(loaded).toEqual(['node:path', 'node:os'])
  })

  it('refuses a script in which it finds no such imports', () => {
    expect(() => withLazyBuiltins('import fs from "node:fs"')).toThrow(expect.objectContaining({ code: 'BUG' }))
  })
})

describe('inAscii()', () => {
  it('means the same', () => {
    const script = `const é = "↻ 𝒳"; [é, 'ü' + é, /[𝒳]/u.test("𝒳"), /[à-ü]/.test("é")]`
    const ascii = inAscii(script)
    expect(ascii).toMatch(/^[\0-\x7f]*$/)
    expect(runInNewContext(ascii)).toEqual(runInNewContext(script))
    expect(runInNewContext(script)).toEqual(['↻ 𝒳', 'ü↻ 𝒳', true, true])
  })
})
