import { BootwrightError } from '../system/index.ts'

/** How the bundler writes an import of one of Node's own modules, and what it does when that has a default. */
const REQUIRED = /^let (\w+) = require\("(node:[^"]+)"\);$/gm
const INTEROPERABLE = /^\w+ = __toESM\(\w+(?:, 1)?\);\n/gm

const LAZY = `const __builtin = (id) => {
	let loaded;
	return new Proxy({}, { get: (_, name) => {
		loaded ??= require(id);
		return name === "default" ? loaded : loaded[name];
	} });
};
`

/**
 * Lets a bundled CommonJS script load each of Node's own modules when it first needs something of it, not when it
 * starts: HTTP, TLS and cryptography alone take as long as the rest of a start, and few calls of a guest tool need them.
 */
export function withLazyBuiltins(script: string): string {
  if (script.search(REQUIRED) === -1) {
    throw new BootwrightError(
      'BUG',
      'The bundler writes imports of Node\'s own modules as `let node_fs = require("node:fs");` no more',
    )
  }
  return LAZY + script.replace(INTEROPERABLE, '').replace(REQUIRED, 'const $1 = __builtin("$2");')
}

/** The same script in ASCII alone, of which V8 makes a string without looking: for any other it needs as long as to load half of it. */
export function inAscii(script: string): string {
  return script.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
