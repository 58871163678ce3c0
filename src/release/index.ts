export { type FileServer, type ServedRequest, type ServeOptions, serveDirectory } from './serve.ts'
export { parseServeFault, type ServeFaultRule } from './serve-faults.ts'
