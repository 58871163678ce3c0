export { type JudgedPcr, judgeComponents } from './judge-components.ts'
export { isPolicyMet, type JudgedPolicy, judgeSignatures } from './judge-signatures.ts'
export { type PcrlockComponent, parsePcrlock, pcrlockComponents } from './pcrlock-file.ts'
export { parsePcrSignatures, type SignedPolicy } from './pcrsig-file.ts'
