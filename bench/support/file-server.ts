/**
 * Serves a directory over HTTP in a process of its own, so that its CPU is nobody's who is measured. Prints the address.
 *
 * Usage: node bench/support/file-server.ts DIRECTORY
 */
import { serveDirectory } from '../../src/release/index.ts'

const { url } = await serveDirectory(process.argv[2] ?? '.')
process.stdout.write(`${url}\n`)
