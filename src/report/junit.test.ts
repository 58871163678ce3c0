import { describe, expect, it } from 'vitest'
import { run, runUnchecked } from '../system/index.ts'
import { COUNTED, FAILED, NOT_RUN, PASSED, reportOf, UNSUPPORTED } from './example.test-support.ts'
import { junitXml } from './junit.ts'
import type { CheckReport } from './run-report.ts'

interface Element {
  readonly tag: string
  readonly attributes: Readonly<Record<string, string>>
  readonly text: string
  readonly children: readonly Element[]
}

const PARSE = `
import json, sys, xml.etree.ElementTree as tree
def plain(e): return {'tag': e.tag, 'attributes': e.attrib, 'text': e.text or '', 'children': [plain(c) for c in e]}
json.dump(plain(tree.fromstring(sys.stdin.buffer.read())), sys.stdout)`

const python = await runUnchecked({ argv: ['python3', '-c', 'import xml.etree.ElementTree'] }).catch(() => undefined)

/** What an XML parser that is not ours makes of it. */
async function parsed(xml: string): Promise<Element> {
  return JSON.parse((await run({ argv: ['python3', '-c', PARSE] }, { input: xml })).stdout) as Element
}

const HOSTILE = [
  '<script>&amp;"quoted" \'single\' ]]> <![CDATA[',
  'controls \u0000\u0001\u0008\u000b\u001b[31m\u007f\u0085 end',
  'lone \ud800 and \udfff surrogates, a pair \u{1f642}',
  'not characters \ufffe \uffff',
  'tab\tcarriage\rreturn',
  '--> ?> %s &#0; &#x1F; &nope;',
]

describe.skipIf(python?.exitCode !== 0)('junitXml() (needs python3 as a parser)', () => {
  it('is one suite with its counts, and a case a check', async () => {
    const suites = await parsed(junitXml(reportOf([PASSED, FAILED, UNSUPPORTED], [NOT_RUN])))
    expect(suites.tag).toBe('testsuites')
    const [suite] = suites.children
    expect(suite?.attributes).toEqual({
      name: 'bootwright verify cloud',
      tests: '4',
      failures: '1',
      errors: '1',
      skipped: '1',
      time: '61.234',
      timestamp: '2026-01-02T03:04:05.000Z',
    })
    const outcomes = suite?.children.map(({ attributes, children }) => [
      attributes.name,
      attributes.time,
      children[0]?.tag,
      children[0]?.attributes.message,
    ])
    expect(outcomes).toEqual([
      ['tpm-present: The TPM is there', '0.012', 'system-out', undefined],
      ['pcr-11: PCR 11 is right', '1.500', 'failure', 'expected aa, found bb'],
      ['imds-hostname: The hostname is given', '0.000', 'skipped', 'the machine was started in no cloud'],
      ['event-log: The logs replay', '0', 'error', 'not run: the machine did not boot'],
    ])
    expect(suite?.children[1]?.children[0]?.text).toBe('sha256: predicted aa, found bb\ntwo\nlines')
  })

  it('has the counts of measurements behind the evidence', async () => {
    const [suite] = (await parsed(junitXml(reportOf([COUNTED])))).children
    expect(suite?.children[0]?.children[0]?.text.split('\n')).toEqual([
      'TPM 2.0 with sha256',
      'PCR 4: 3 predicted, 3 actual, 0 unknown',
      'PCR 11: 16 predicted, 15 actual, 1 unknown',
    ])
  })

  it('is well-formed without any check', async () => {
    const [suite] = (await parsed(junitXml(reportOf([])))).children
    expect(suite?.attributes.tests).toBe('0')
    expect(suite?.children).toEqual([])
  })

  it.for(HOSTILE)('is well-formed with %j everywhere', async (text) => {
    const hostile = (check: CheckReport): CheckReport => ({ ...check, title: text, evidence: [text, text] })
    const xml = junitXml(
      reportOf(
        [hostile(PASSED), { ...hostile(FAILED), expected: text, found: text }, hostile(UNSUPPORTED)],
        [{ id: 'x', title: text, reason: text }],
      ),
    )
    const [suite] = (await parsed(xml)).children
    expect(suite?.children.map(({ children }) => children[0]?.tag)).toEqual([
      'system-out',
      'failure',
      'skipped',
      'error',
    ])
  })

  it('carries what XML can say as it is', async () => {
    const text = '<a b="c">&amp; ]]> \u{1f642} ü'
    const [suite] = (await parsed(junitXml(reportOf([{ ...FAILED, evidence: [text], found: text }])))).children
    const failure = suite?.children[0]?.children[0]
    expect(failure?.text).toBe(text)
    expect(failure?.attributes.message).toBe(`expected aa, found ${text}`)
  })

  it('gives a failure its first fact where nothing was expected', async () => {
    const { expected: _expected, found: _found, ...check } = FAILED
    const [suite] = (await parsed(junitXml(reportOf([check, { ...check, evidence: [] }])))).children
    expect(suite?.children.map(({ children }) => children[0]?.attributes.message)).toEqual([
      'sha256: predicted aa, found bb',
      'failed',
    ])
  })
})
