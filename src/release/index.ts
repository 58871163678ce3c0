export { type Compression, type Publication, type PublishOptions, publish } from './publish.ts'
export { type FileServer, type ServedRequest, type ServeOptions, serveDirectory } from './serve.ts'
export { parseServeFault, type ServeFaultRule } from './serve-faults.ts'
export { makeSigningKey, ownSigningKey, type SigningKey, signingKeyIn } from './signing-key.ts'
