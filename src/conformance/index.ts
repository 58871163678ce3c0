export { conformance } from './conformance.ts'
export { runUpstreamTest, type UpstreamResult } from './run-upstream-test.ts'
export { StandIns } from './stand-ins.ts'
